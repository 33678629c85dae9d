"""The accept policies of hinge-serve, and which of them the tested backend can do."""

import serve

NAMED = ["sharded", "sharded_cpu", "shared_fifo", "shared_exclusive", "dispatch",
         "thread_per_connection"]
POLICIES = ["automatic", *NAMED]


def can_do(policy):
    if policy == "shared_fifo":
        return serve.BACKEND == "uring"
    if policy == "sharded_cpu" and serve.MASKED:
        return False
    return policy != "shared_exclusive" or serve.BACKEND != "uring"
