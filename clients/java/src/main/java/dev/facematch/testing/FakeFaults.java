package dev.facematch.testing;

import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusException;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;

/** The calls of a fake that fail before they have an effect. */
final class FakeFaults implements ServerInterceptor {
    /** By the name of the rpc, the next one first. */
    private final Map<String, Queue<StatusException>> faults = new HashMap<>();

    synchronized void add(String rpc, StatusException fault) {
        faults.computeIfAbsent(rpc, it -> new ArrayDeque<>()).add(fault);
    }

    private synchronized StatusException next(String rpc) {
        Queue<StatusException> next = faults.get(rpc);
        return next == null ? null : next.poll();
    }

    @Override
    public <Request, Answer> ServerCall.Listener<Request> interceptCall(ServerCall<Request, Answer> call,
            Metadata headers, ServerCallHandler<Request, Answer> handler) {
        StatusException fault = next(call.getMethodDescriptor().getBareMethodName());
        if (fault == null) {
            return handler.startCall(call, headers);
        }
        Metadata trailers = fault.getTrailers();
        Status status = fault.getStatus();
        call.close(status, trailers == null ? new Metadata() : trailers);
        return new ServerCall.Listener<>() {};
    }
}
