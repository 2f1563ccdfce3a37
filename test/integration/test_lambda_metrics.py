"""What is counted of Lambda functions, and which instances they have."""

from heddle import INTERNAL_KEY, bearer, eventually


def test_invocations_are_counted_by_how_they_ended(aws):
    aws.create("counted", """
exports.handler = async (event) => {
  if (event.exit) process.exit(3);
  if (event.fails) throw new Error("as asked");
};""", Timeout=10)
    aws.value("counted", {})
    aws.value("counted", {})
    assert aws.invoke("counted", {"fails": True}).error == "Unhandled"
    assert aws.invoke("counted", {"exit": True}).error == "Unhandled"
    aws.api.put_function_concurrency(FunctionName="counted", ReservedConcurrentExecutions=0)
    try:
        aws.invoke("counted", {})
    except aws.api.exceptions.TooManyRequestsException:
        pass
    mine = {name: value for name, value in eventually(
        lambda: counted(aws.node)["invocations"] >= 4 and aws.node.metrics(),
        what="four invocations").items() if 'function="counted"' in name}
    of = counted(aws.node)
    assert of["invocations"] == 4 and of["errors"] == 2 and of["throttles"] == 1, mine
    assert of["cold_starts"] >= 1, mine
    for histogram in ("duration", "init_duration"):
        count = sum(v for n, v in mine.items()
                    if n.startswith(f"heddle_lambda_{histogram}_seconds_count"))
        assert count >= 1, (histogram, mine)
    states = [n for n in mine if n.startswith("heddle_instances") or "instances{" in n]
    assert states, mine
    assert any("oom" in n for n in aws.node.metrics()), "no counter of memory limits"
    assert "heddle_lambda_async_queued" in aws.node.metrics()
    assert of["concurrent_executions"] == 0


def counted(node):
    """Sums of this function's series."""
    sums = dict.fromkeys(("invocations", "errors", "throttles", "cold_starts",
                          "concurrent_executions"), 0)
    for name, value in node.metrics().items():
        for what in sums:
            if 'function="counted"' in name and (
                    name.startswith(f"heddle_lambda_{what}_total{{")
                    or name.startswith(f"heddle_lambda_{what}{{")):
                sums[what] += value
    return sums


def test_instances_are_shown_one_by_one_and_can_be_drained(aws):
    aws.create("shown", "const id = crypto.randomUUID(); exports.handler = async () => id;", MemorySize=256)
    first = aws.value("shown")
    key = bearer(INTERNAL_KEY)

    def shown():
        listed = aws.node.ask_control("GET", "/heddle/instances", key).json()["instances"]
        return [i for i in listed if i["function"] == "shown"]

    [one] = eventually(shown, what="an instance")
    assert one["state"] == "ready" or one["state"] == "idle", one
    assert one["backend"] == "process" and one["initialization"] == "on-demand"
    assert one["served"] == 1 and one["inFlight"] == 0 and one["ageMs"] >= one["lastUsedMsAgo"]
    assert one["fingerprint"] and one["initMs"] > 0 and one["memoryPeakBytes"] >= 0
    assert aws.node.ask_control("GET", "/heddle/instances").status == 404  # not without the key
    answer = aws.node.ask_control("POST", f"/heddle/instances/drain?id={one['id']}", key)
    assert answer.json() == {"draining": 1}
    eventually(lambda: one["id"] not in [i["id"] for i in shown()], what="its end")
    assert aws.value("shown") != first
