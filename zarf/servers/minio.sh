# MinIO: an S3 service that shares no code with the embedded one. test.sh sources this file.

# There is no release after the tags of 2025; this was @latest when it was chosen.
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c

install_minio() {
    install minio github.com/minio/minio github.com/minio/minio "$minio_version"
}

start_minio() {
    local port
    port=$(free_ports 2)
    export S3_TEST_ENDPOINT=http://127.0.0.1:$port
    export S3_TEST_ACCESS_KEY_ID=glimpse-test S3_TEST_SECRET_ACCESS_KEY=nothing-is-secret-here
    run_server minio env MINIO_ROOT_USER="$S3_TEST_ACCESS_KEY_ID" MINIO_ROOT_PASSWORD="$S3_TEST_SECRET_ACCESS_KEY" \
        "$cache/minio" server --address "127.0.0.1:$port" --console-address "127.0.0.1:$((port + 1))" "$folder/minio/data"
    await minio "$port" /minio/health/ready
    ask_for_denied_credentials
}

# Gets valid credentials without permissions for the buckets of the tests, from the STS of MinIO.
ask_for_denied_credentials() {
    local policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::elsewhere/*"]}]}'
    local reply key secret token
    if ! reply=$(curl --silent --fail --noproxy '*' --aws-sigv4 aws:amz:us-east-1:sts \
        --user "$S3_TEST_ACCESS_KEY_ID:$S3_TEST_SECRET_ACCESS_KEY" "$S3_TEST_ENDPOINT/" \
        --data-urlencode Action=AssumeRole --data-urlencode Version=2011-06-15 --data-urlencode "Policy=$policy"); then
        echo "curl cannot sign requests (7.75 or later can): the tests with denied credentials are skipped" >&2
        return 0
    fi
    key=$(between AccessKeyId "$reply") secret=$(between SecretAccessKey "$reply") token=$(between SessionToken "$reply")
    export AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret AWS_SESSION_TOKEN=$token S3_TEST_AMBIENT_IS_DENIED=1
}

# between TAG XML: prints the content of the element.
between() {
    local rest=${2#*<"$1">}
    echo "${rest%%</"$1">*}"
}
