"""What is counted of Lambda functions."""

from heddle import eventually


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
