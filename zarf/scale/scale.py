"""Prints time, disk, memory, requests and money for 5 million, 50 million and 1 billion images, and what breaks first.

    python3 zarf/scale/scale.py [--costs FILE] [--model siglip2-base-256]

All figures come from `costs.toml`. A result with `a` depends on an assumption, one with `$` on a price that you replace with yours.
"""

import argparse
import math
import tomllib
from pathlib import Path

DAY, GB = 86_400, 1e9
# With this number of nodes, one of ten searches waits for a reply that is slower than the 99th percentile of a node.
SLOW_SHARDS = 10


class Costs:
    """The unit costs. Remembers which kinds of them a result has used."""

    def __init__(self, file, model):
        self.all = tomllib.loads(file.read_text())
        self.model = self.all["model"][model]
        self.wanted, self.kinds = self.all["wanted"], set()

    def __getitem__(self, name):
        group, _, key = name.partition(".")
        cost = self.all[group][key]
        if isinstance(cost, dict) and "value" in cost:
            self.kinds.add(cost["kind"])
            return cost["value"]
        self.kinds.add(self.all[group]["kind"])
        return cost

    def assume(self):
        self.kinds.add("assumption")

    def mark(self):
        """Returns the mark of what was used since the last call."""
        mark = ("a" if "assumption" in self.kinds else "") + ("$" if "price" in self.kinds else "")
        self.kinds.clear()
        return mark

    def gpu_rate(self):
        """Images per second of one GPU machine: of its model, or of its cores that prepare images."""
        machine = self["machine.gpu"]
        self.kinds.discard("price")
        prepared = machine["cores"] * 1e3 / self["image.cpu_ms"]
        if not self.model["gflop"]:
            raise SystemExit("the work of this model (gflop) is not known, so its speed on a GPU is not either; choose another --model")
        return min(prepared, self["gpu.tflops"] * 1e3 / self.model["gflop"])

    def core_rate(self):
        """Images per second of one core that prepares images and runs the model."""
        self.kinds.add(self.model["core_kind"])
        return 1 / (self["image.cpu_ms"] / 1e3 + 1 / self.model["core"])

    def list_rate(self):
        """Keys per second of a listing in lanes, if the ledger knows all of them."""
        pages = self["list.lanes"] / self["list.page_ms"] * 1e3
        return 1e3 * min(pages, 1e3 / (self["ledger.known_page_ms"] + self["ledger.count_page_ms"]))

    def memory(self):
        """Bytes of the service's machine that are free for stores and caches."""
        kinds = self.kinds.copy()
        memory = self["machine.service"]["memory_gb"] * GB * self.wanted["memory_share"]
        self.kinds = kinds
        return memory

    def writer_us(self, images):
        """Microseconds of the ledger's one writer for an image, in a ledger that has reached this size."""
        warm = self["ledger.small_us"] if images < 10e6 else self["ledger.large_us"]
        missing = max(0, 1 - self.memory() / (images * self["ledger.etag_bytes"]))
        return warm + missing * self["ledger.cold_us"]

    def wide(self):
        """How many times longer the vectors are than those that were measured."""
        return self.model["numbers"] / 512


def duration(seconds):
    for unit, length in [("days", DAY), ("h", 3600), ("min", 60)]:
        if seconds >= length:
            value = seconds / length
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2g} {unit}"
    return f"{seconds:.2g} s"


def amount(number):
    for unit, size in [("billion", 1e9), ("million", 1e6)]:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,.0f}"


def size(count):
    return f"{count / 1e12:.3g} TB" if count >= 1e12 else f"{count / GB:.3g} GB"


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def money(dollars):
    return f"{dollars:,.0f} USD" if dollars >= 10 else f"{dollars:.2f} USD"


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def limits(costs, store):
    """Returns the parts that have a limit, each with the number of images at which it is reached and the reason."""
    service, wanted, found = costs["machine.service"], costs.wanted, []
    memory = costs.memory()
    costs.mark()

    def add(part, images, reason):
        found.append((images, part, reason + (" (a)" if "a" in costs.mark() else "")))

    if store == "embedded":
        costs.assume()
        add("search", wanted["text_ms"] * service["cores"] / costs["embedded.text_ms"] / costs.wide() * 1e6,
            f"a text takes {wanted['text_ms']} ms on all {service['cores']} cores")
        each = costs["embedded.disk_bytes"] * costs.wide()
        costs.assume()
        add("vectors in the cache of the disk", memory / each,
            f"{each:.0f} bytes an image, of {size(memory)}; then a text reads vectors from the disk")
        each = costs["embedded.memory_bytes"] * costs.wide() + costs["embedded.filter_bytes"]
        add("memory of the embedded store", memory / each, f"{each:.0f} bytes an image, of {size(memory)}")
        rate = costs.gpu_rate()
        add("first indexing, one GPU", rate * DAY * wanted["max_days"], f"{rate:.0f} images/s for {wanted['max_days']} days")
        rate = costs.core_rate() * service["cores"]
        add("first indexing, no GPU", rate * DAY * wanted["max_days"],
            f"{rate:.0f} images/s on {service['cores']} cores for {wanted['max_days']} days")
    else:
        each = costs[f"{store}.memory_bytes"] * costs.wide()
        one = costs["machine.store"]["memory_gb"] * GB * wanted["memory_share"]
        costs.kinds.discard("price")
        add(f"one {store} node", one / each, f"{each:.0f} bytes an image, of {size(one)}")
        costs.assume()
        add("fan-out of a search", one / each * SLOW_SHARDS,
            f"{SLOW_SHARDS} nodes: one of ten searches waits for a reply above the p99 of a node (1 - 0.99 ^ {SLOW_SHARDS})")
        rate = costs.gpu_rate()
        add("connections of the service", rate * DAY * wanted["days"] * costs["ledger.connections"] / 2,
            f"{costs['ledger.connections'] // 2} workers of {rate:.0f} images/s for {wanted['days']} day")
        rate = 1e6 / costs["ledger.large_us"]
        add("writer of the ledger", rate * DAY * wanted["days"], f"{rate:.0f} images/s on one thread for {wanted['days']} day")
    add("ETags of the ledger in memory", memory / costs["ledger.etag_bytes"],
        f"{costs['ledger.etag_bytes']} bytes an image, of {size(memory)}; then each image reads the disk")
    rate = costs.list_rate()
    add("a job over unchanged keys", rate * 3600 * wanted["sync_hours"], f"{rate:.0f} keys/s for {wanted['sync_hours']} h")
    return sorted(found)


def embedded_text_ms(costs, images):
    """Returns the time of a text search of the embedded store: its CPU time on all cores, and the vectors that are not in memory."""
    service = costs["machine.service"]
    memory = costs.memory()
    resident = images * (costs["embedded.memory_bytes"] * costs.wide() + costs["embedded.filter_bytes"])
    cached = (memory - resident) / (images * costs["embedded.disk_bytes"] * costs.wide())
    missing = 1 - min(1, max(0, cached))
    reads = missing * costs["embedded.scored"] / costs["machine.disk_reads"] * 1e3
    return images / 1e6 * costs["embedded.text_ms"] * costs.wide() / service["cores"] + reads


def one_machine(costs, images, gpu):
    """Returns a row: the embedded store in the service's process."""
    service, price = costs["machine.service"], costs.all["price"]
    hour = (costs["machine.gpu_service"] if gpu else service)["hour"]
    if gpu:
        rate = costs.gpu_rate()
    else:
        rate = costs.core_rate() * service["cores"]
    rate = min(rate, costs.list_rate(), 1e6 / costs.writer_us(images), 1e6 / costs["embedded.write_us"] / costs.wide())
    memory = images * (costs["embedded.memory_bytes"] * costs.wide() + costs["embedded.filter_bytes"])
    disk = images * (costs["embedded.disk_bytes"] * costs.wide() + costs["embedded.record_bytes"] + costs["ledger.object_bytes"])
    search = embedded_text_ms(costs, images)
    seconds = images / rate
    once = requests_price(costs, images) + seconds / 3600 * hour
    month = hour * price["month_hours"] + disk / GB * price["disk_gb_month"]
    return seconds, "1", memory, disk, search, once, month


def cluster(costs, images, store):
    """Returns a row: workers on GPU machines, and a store on as many nodes as its memory needs."""
    service, node, price = costs["machine.service"], costs["machine.store"], costs.all["price"]
    per_worker = costs.gpu_rate()
    workers = math.ceil(images / (costs.wanted["days"] * DAY) / per_worker)
    memory = images * costs[f"{store}.memory_bytes"] * costs.wide()
    nodes = math.ceil(memory / (node["memory_gb"] * GB * costs.wanted["memory_share"]))
    written = nodes * node["cores"] * 1e3 / costs[f"{store}.write_core_ms"]
    costs.assume()
    rate = min(workers * per_worker, costs.list_rate(), 1e6 / costs.writer_us(images), written)
    seconds = images / rate
    disk = images * (4.5 * costs.model["numbers"] + costs["embedded.record_bytes"] + costs["ledger.object_bytes"])
    search = costs[f"{store}.text_ms"] * max(1, math.log(images / nodes) / math.log(200_000))
    once = requests_price(costs, images) + seconds / 3600 * (workers * costs["machine.gpu"]["hour"] + service["hour"])
    month = (nodes * node["hour"] + service["hour"]) * price["month_hours"] + disk / GB * price["disk_gb_month"]
    return seconds, f"{workers} GPU, {nodes} of the store", memory, disk, search, once, month


def requests_price(costs, images):
    return images / 1e3 * costs["price.get_1000"] + images / 1e6 * costs["price.list_1000"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, default=Path(__file__).with_name("costs.toml"))
    parser.add_argument("--model", default="siglip2-base-256")
    options = parser.parse_args()
    models = tomllib.loads(options.costs.read_text())["model"]
    if options.model not in models:
        parser.error(f"the model {options.model} has no costs; those of {', '.join(models)} are known")
    costs = Costs(options.costs, options.model)
    print(f"Model: {options.model}. `a`: depends on an assumption; `$`: on prices. See costs.toml.\n")
    kinds = {
        "one machine": lambda images: one_machine(costs, images, False),
        "one GPU": lambda images: one_machine(costs, images, True),
        "Ray, Qdrant": lambda images: cluster(costs, images, "qdrant"),
        "Ray, Weaviate": lambda images: cluster(costs, images, "weaviate"),
    }
    rows = []
    for images in costs.all["sizes"]["images"]:
        for kind, calculate in kinds.items():
            store = kind.rpartition(" ")[2].lower() if "Ray" in kind else "embedded"
            parts = [limit for limit in limits(costs, store) if not (limit[1].startswith("first indexing") and
                     ("no GPU" in limit[1]) == (kind == "one GPU"))]
            # One node that is too small is replaced by several: the row has their number.
            broken = [f"{part}, at {amount(reached)}" for reached, part, _ in parts if reached < images and not part.startswith("one ")]
            costs.mark()
            seconds, machines, memory, disk, search, once, month = calculate(images)
            mark = costs.mark()
            rows.append([amount(images), kind, machines, f"{duration(seconds)} {mark.strip('$')}", size(memory), size(disk),
                         f"{search:.{0 if search >= 1 else 1}f} ms a", f"{money(once)} {mark}", f"{money(month)} {mark}", broken[0] if broken else "nothing"])
    table(["Images", "On", "Machines", "First indexing", "Memory of the store", "Disk", "A text", "Once", "A month", "Breaks first"], rows)
    for store in ["embedded", "qdrant", "weaviate"]:
        print(f"{store}: the number of images at which a part breaks\n")
        table(["Images", "Part", "Because"], [(amount(reached), part, reason) for reached, part, reason in limits(costs, store)])
    print("Requests: one GET an image and one LIST for 1,000 keys\n")
    rows = []
    for images in costs.all["sizes"]["images"]:
        costs.mark()
        price = f"{money(requests_price(costs, images))} {costs.mark()}"
        again, writer = duration(images / costs.list_rate()), duration(images * costs.writer_us(images) / 1e6)
        rows.append([amount(images), amount(images), amount(images / 1e3), price, f"{again} {costs.mark()}", writer,
                     size(images * costs["ledger.object_bytes"]), size(images * costs["ledger.item_bytes"]),
                     size(images * costs["ledger.written_bytes"])])
    table(["Images", "GET", "LIST", "Price", "Listing again", "Writer of the ledger", "Ledger", "Its plan, at most", "Written for it"], rows)
    print("Embedding all images again, by model: days of one core · days of one GPU machine\n")
    rows = []
    for name, model in costs.all["model"].items():
        costs.model = model
        costs.mark()
        core, core_mark = costs.core_rate(), costs.mark()
        # The work of the built-in model is not known.
        gpu, gpu_mark = (costs.gpu_rate() if model["gflop"] else None), costs.mark()
        days = [[number(images / rate / DAY) if rate else "-" for rate in (core, gpu)] for images in costs.all["sizes"]["images"]]
        rates = [f"{number(core)} {core_mark}", f"{number(gpu)} {gpu_mark}" if gpu else "-"]
        rows.append([name, *rates, *(" · ".join(both) for both in days)])
    table(["Model", "Images/s, a core", "a GPU machine", *(amount(images) for images in costs.all["sizes"]["images"])], rows)


if __name__ == "__main__":
    main()
