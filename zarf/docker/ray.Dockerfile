# A node of a Ray cluster (head or worker) that can run workers of Glimpse: Ray, the binary with its model, and the driver.
#   docker build --file zarf/docker/ray.Dockerfile --tag glimpse-ray:dev .
# It needs the image of the service, glimpse:dev, which `make up` builds first. All nodes of a cluster must have the same
# versions of Ray and Python.

FROM glimpse:dev AS glimpse

# The same Debian as in the image of the service, because the binary needs the same C library.
FROM python:3.11.14-slim-trixie
RUN pip install --no-cache-dir "ray[default]==2.60.0"
RUN groupadd --gid 10001 glimpse \
 && useradd --uid 10001 --gid glimpse --home-dir /home/glimpse --create-home --shell /usr/sbin/nologin glimpse
COPY --from=glimpse /usr/local/bin/glimpse /usr/local/bin/glimpse
# For RAY_DRIVER=/opt/glimpse/ray_driver.py. If that is not set, the service sends its own driver.
COPY zarf/ray/driver.py /opt/glimpse/ray_driver.py

USER 10001:10001
WORKDIR /home/glimpse
ENV RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_worker_niceness=0 \
    RAY_grpc_client_keepalive_time_ms=10000 \
    RAY_grpc_client_keepalive_timeout_ms=10000
