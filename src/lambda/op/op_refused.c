/* Operations that clients know and this server does not offer: they are told so by name. Invoke and
 * its kin never come here, but their paths are known. */
#include "lambda/op/operations.h"

#define CAPACITY "/2025-11-30/capacity-providers"
#define DURABLE "/2025-12-01/durable-executions"
#define CALLBACK "/2025-12-01/durable-execution-callbacks/{CallbackId}"

const struct hd_operation hd_operations_refused[] = {
    {"Invoke", "POST", "/2015-03-31/functions/{FunctionName}/invocations", .ok = 200},
    {"InvokeAsync", "POST", "/2014-11-13/functions/{FunctionName}/invoke-async", .ok = 202},
    {"InvokeWithResponseStream", "POST",
     "/2021-11-15/functions/{FunctionName}/response-streaming-invocations", .ok = 200},

    {"CreateCapacityProvider", "POST", CAPACITY, .ok = 202},
    {"DeleteCapacityProvider", "DELETE", CAPACITY "/{CapacityProviderName}", .ok = 202},
    {"GetCapacityProvider", "GET", CAPACITY "/{CapacityProviderName}", .ok = 200},
    {"ListCapacityProviders", "GET", CAPACITY, .ok = 200},
    {"ListFunctionVersionsByCapacityProvider", "GET",
     CAPACITY "/{CapacityProviderName}/function-versions", .ok = 200},
    {"UpdateCapacityProvider", "PUT", CAPACITY "/{CapacityProviderName}", .ok = 202},
    {"GetFunctionScalingConfig", "GET",
     "/2025-11-30/functions/{FunctionName}/function-scaling-config", .ok = 200},
    {"PutFunctionScalingConfig", "PUT",
     "/2025-11-30/functions/{FunctionName}/function-scaling-config", .ok = 202},

    {"CheckpointDurableExecution", "POST", DURABLE "/{DurableExecutionArn}/checkpoint", .ok = 200},
    {"GetDurableExecution", "GET", DURABLE "/{DurableExecutionArn}", .ok = 200},
    {"GetDurableExecutionHistory", "GET", DURABLE "/{DurableExecutionArn}/history", .ok = 200},
    {"GetDurableExecutionState", "GET", DURABLE "/{DurableExecutionArn}/state", .ok = 200},
    {"ListDurableExecutionsByFunction", "GET",
     "/2025-12-01/functions/{FunctionName}/durable-executions", .ok = 200},
    {"StopDurableExecution", "POST", DURABLE "/{DurableExecutionArn}/stop", .ok = 200},
    {"SendDurableExecutionCallbackFailure", "POST", CALLBACK "/fail", .ok = 200},
    {"SendDurableExecutionCallbackHeartbeat", "POST", CALLBACK "/heartbeat", .ok = 200},
    {"SendDurableExecutionCallbackSuccess", "POST", CALLBACK "/succeed", .ok = 200},
    {0},
};
