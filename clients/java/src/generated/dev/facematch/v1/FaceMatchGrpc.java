package dev.facematch.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Runs biometric matches at Oz and reports their progress.
 * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
 * that tenant only. On a server without authentication there is one tenant for all calls.
 * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
 * CreateMatch only with a request_id.
 * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
 * received, or with its token.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class FaceMatchGrpc {

  private FaceMatchGrpc() {}

  public static final java.lang.String SERVICE_NAME = "facematch.v1.FaceMatch";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest,
      dev.facematch.v1.MatchUpdate> getRunMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RunMatch",
      requestType = dev.facematch.v1.MatchRequest.class,
      responseType = dev.facematch.v1.MatchUpdate.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest,
      dev.facematch.v1.MatchUpdate> getRunMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest, dev.facematch.v1.MatchUpdate> getRunMatchMethod;
    if ((getRunMatchMethod = FaceMatchGrpc.getRunMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getRunMatchMethod = FaceMatchGrpc.getRunMatchMethod) == null) {
          FaceMatchGrpc.getRunMatchMethod = getRunMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.MatchRequest, dev.facematch.v1.MatchUpdate>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RunMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.MatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.MatchUpdate.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("RunMatch"))
              .build();
        }
      }
    }
    return getRunMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest,
      dev.facematch.v1.Match> getCreateMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateMatch",
      requestType = dev.facematch.v1.MatchRequest.class,
      responseType = dev.facematch.v1.Match.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest,
      dev.facematch.v1.Match> getCreateMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.MatchRequest, dev.facematch.v1.Match> getCreateMatchMethod;
    if ((getCreateMatchMethod = FaceMatchGrpc.getCreateMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getCreateMatchMethod = FaceMatchGrpc.getCreateMatchMethod) == null) {
          FaceMatchGrpc.getCreateMatchMethod = getCreateMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.MatchRequest, dev.facematch.v1.Match>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.MatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.Match.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("CreateMatch"))
              .build();
        }
      }
    }
    return getCreateMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.GetMatchRequest,
      dev.facematch.v1.Match> getGetMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetMatch",
      requestType = dev.facematch.v1.GetMatchRequest.class,
      responseType = dev.facematch.v1.Match.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.GetMatchRequest,
      dev.facematch.v1.Match> getGetMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.GetMatchRequest, dev.facematch.v1.Match> getGetMatchMethod;
    if ((getGetMatchMethod = FaceMatchGrpc.getGetMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getGetMatchMethod = FaceMatchGrpc.getGetMatchMethod) == null) {
          FaceMatchGrpc.getGetMatchMethod = getGetMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.GetMatchRequest, dev.facematch.v1.Match>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.GetMatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.Match.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("GetMatch"))
              .build();
        }
      }
    }
    return getGetMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.WaitMatchRequest,
      dev.facematch.v1.Match> getWaitMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WaitMatch",
      requestType = dev.facematch.v1.WaitMatchRequest.class,
      responseType = dev.facematch.v1.Match.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.WaitMatchRequest,
      dev.facematch.v1.Match> getWaitMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.WaitMatchRequest, dev.facematch.v1.Match> getWaitMatchMethod;
    if ((getWaitMatchMethod = FaceMatchGrpc.getWaitMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getWaitMatchMethod = FaceMatchGrpc.getWaitMatchMethod) == null) {
          FaceMatchGrpc.getWaitMatchMethod = getWaitMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.WaitMatchRequest, dev.facematch.v1.Match>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WaitMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.WaitMatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.Match.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("WaitMatch"))
              .build();
        }
      }
    }
    return getWaitMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchRequest,
      dev.facematch.v1.MatchUpdate> getWatchMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchMatch",
      requestType = dev.facematch.v1.WatchMatchRequest.class,
      responseType = dev.facematch.v1.MatchUpdate.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchRequest,
      dev.facematch.v1.MatchUpdate> getWatchMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchRequest, dev.facematch.v1.MatchUpdate> getWatchMatchMethod;
    if ((getWatchMatchMethod = FaceMatchGrpc.getWatchMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getWatchMatchMethod = FaceMatchGrpc.getWatchMatchMethod) == null) {
          FaceMatchGrpc.getWatchMatchMethod = getWatchMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.WatchMatchRequest, dev.facematch.v1.MatchUpdate>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.WatchMatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.MatchUpdate.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("WatchMatch"))
              .build();
        }
      }
    }
    return getWatchMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchesRequest,
      dev.facematch.v1.MatchUpdate> getWatchMatchesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchMatches",
      requestType = dev.facematch.v1.WatchMatchesRequest.class,
      responseType = dev.facematch.v1.MatchUpdate.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchesRequest,
      dev.facematch.v1.MatchUpdate> getWatchMatchesMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.WatchMatchesRequest, dev.facematch.v1.MatchUpdate> getWatchMatchesMethod;
    if ((getWatchMatchesMethod = FaceMatchGrpc.getWatchMatchesMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getWatchMatchesMethod = FaceMatchGrpc.getWatchMatchesMethod) == null) {
          FaceMatchGrpc.getWatchMatchesMethod = getWatchMatchesMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.WatchMatchesRequest, dev.facematch.v1.MatchUpdate>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchMatches"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.WatchMatchesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.MatchUpdate.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("WatchMatches"))
              .build();
        }
      }
    }
    return getWatchMatchesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.ListMatchesRequest,
      dev.facematch.v1.ListMatchesResponse> getListMatchesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListMatches",
      requestType = dev.facematch.v1.ListMatchesRequest.class,
      responseType = dev.facematch.v1.ListMatchesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.ListMatchesRequest,
      dev.facematch.v1.ListMatchesResponse> getListMatchesMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.ListMatchesRequest, dev.facematch.v1.ListMatchesResponse> getListMatchesMethod;
    if ((getListMatchesMethod = FaceMatchGrpc.getListMatchesMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getListMatchesMethod = FaceMatchGrpc.getListMatchesMethod) == null) {
          FaceMatchGrpc.getListMatchesMethod = getListMatchesMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.ListMatchesRequest, dev.facematch.v1.ListMatchesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListMatches"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.ListMatchesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.ListMatchesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("ListMatches"))
              .build();
        }
      }
    }
    return getListMatchesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.CancelMatchRequest,
      dev.facematch.v1.Match> getCancelMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelMatch",
      requestType = dev.facematch.v1.CancelMatchRequest.class,
      responseType = dev.facematch.v1.Match.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.CancelMatchRequest,
      dev.facematch.v1.Match> getCancelMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.CancelMatchRequest, dev.facematch.v1.Match> getCancelMatchMethod;
    if ((getCancelMatchMethod = FaceMatchGrpc.getCancelMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getCancelMatchMethod = FaceMatchGrpc.getCancelMatchMethod) == null) {
          FaceMatchGrpc.getCancelMatchMethod = getCancelMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.CancelMatchRequest, dev.facematch.v1.Match>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.CancelMatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.Match.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("CancelMatch"))
              .build();
        }
      }
    }
    return getCancelMatchMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.facematch.v1.DeleteMatchRequest,
      dev.facematch.v1.DeleteMatchResponse> getDeleteMatchMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteMatch",
      requestType = dev.facematch.v1.DeleteMatchRequest.class,
      responseType = dev.facematch.v1.DeleteMatchResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.facematch.v1.DeleteMatchRequest,
      dev.facematch.v1.DeleteMatchResponse> getDeleteMatchMethod() {
    io.grpc.MethodDescriptor<dev.facematch.v1.DeleteMatchRequest, dev.facematch.v1.DeleteMatchResponse> getDeleteMatchMethod;
    if ((getDeleteMatchMethod = FaceMatchGrpc.getDeleteMatchMethod) == null) {
      synchronized (FaceMatchGrpc.class) {
        if ((getDeleteMatchMethod = FaceMatchGrpc.getDeleteMatchMethod) == null) {
          FaceMatchGrpc.getDeleteMatchMethod = getDeleteMatchMethod =
              io.grpc.MethodDescriptor.<dev.facematch.v1.DeleteMatchRequest, dev.facematch.v1.DeleteMatchResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteMatch"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.DeleteMatchRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.facematch.v1.DeleteMatchResponse.getDefaultInstance()))
              .setSchemaDescriptor(new FaceMatchMethodDescriptorSupplier("DeleteMatch"))
              .build();
        }
      }
    }
    return getDeleteMatchMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static FaceMatchStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<FaceMatchStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<FaceMatchStub>() {
        @java.lang.Override
        public FaceMatchStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new FaceMatchStub(channel, callOptions);
        }
      };
    return FaceMatchStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static FaceMatchBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<FaceMatchBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<FaceMatchBlockingV2Stub>() {
        @java.lang.Override
        public FaceMatchBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new FaceMatchBlockingV2Stub(channel, callOptions);
        }
      };
    return FaceMatchBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static FaceMatchBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<FaceMatchBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<FaceMatchBlockingStub>() {
        @java.lang.Override
        public FaceMatchBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new FaceMatchBlockingStub(channel, callOptions);
        }
      };
    return FaceMatchBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static FaceMatchFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<FaceMatchFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<FaceMatchFutureStub>() {
        @java.lang.Override
        public FaceMatchFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new FaceMatchFutureStub(channel, callOptions);
        }
      };
    return FaceMatchFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Accepts a match and streams all of its updates. The last update carries the verdict.
     * Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
     * A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
     * with the same request_id instead, since a server that crashes loses the photo.
     * A repeat streams from the first update. A refused call has no effect and doesn't use up its
     * request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
     * accepted, which a repeat finds out.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
     * ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
     * RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
     * never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
     * </pre>
     */
    default void runMatch(dev.facematch.v1.MatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRunMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Accepts a match and returns once a crash of the server can't lose its photo any more.
     * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
     * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
     * If the call's deadline passes first, the match continues: repeat the call with its request_id.
     * Errors: those of RunMatch, without UPDATES_UNREAD.
     * </pre>
     */
    default void createMatch(dev.facematch.v1.MatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a match in its present state, which is never older than an update delivered before.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    default void getMatch(dev.facematch.v1.GetMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Waits until a match has ended. For callers that can't stream.
     * Returns the ended match. If the timeout passes first, returns the match in its present state,
     * also with OK.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    default void waitMatch(dev.facematch.v1.WaitMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWaitMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Streams the updates of a match after after_sequence: first the stored ones, then live ones.
     * Each durable update is sent once and in order. The stream ends with OK after the last update of
     * the match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
     * erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    default void watchMatch(dev.facematch.v1.WatchMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
     * itself.
     * The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
     * erased matches are skipped. The filter may change between resumes.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    default void watchMatches(dev.facematch.v1.WatchMatchesRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchMatchesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists matches in pages, newest first.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
     * </pre>
     */
    default void listMatches(dev.facematch.v1.ListMatchesRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.ListMatchesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListMatchesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
     * The server sends nothing more to Oz for the match, and undoes nothing there.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
     * </pre>
     */
    default void cancelMatch(dev.facematch.v1.CancelMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelMatchMethod(), responseObserver);
    }

    /**
     * <pre>
     * Erases a match that has ended, immediately and permanently.
     * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
     * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
     * treat that as success. If the request_id may belong to a new match by then, repeat with the
     * match_id: a repeat with the request_id would erase the new match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
     * </pre>
     */
    default void deleteMatch(dev.facematch.v1.DeleteMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.DeleteMatchResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteMatchMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service FaceMatch.
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public static abstract class FaceMatchImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return FaceMatchGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service FaceMatch.
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public static final class FaceMatchStub
      extends io.grpc.stub.AbstractAsyncStub<FaceMatchStub> {
    private FaceMatchStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected FaceMatchStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new FaceMatchStub(channel, callOptions);
    }

    /**
     * <pre>
     * Accepts a match and streams all of its updates. The last update carries the verdict.
     * Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
     * A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
     * with the same request_id instead, since a server that crashes loses the photo.
     * A repeat streams from the first update. A refused call has no effect and doesn't use up its
     * request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
     * accepted, which a repeat finds out.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
     * ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
     * RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
     * never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
     * </pre>
     */
    public void runMatch(dev.facematch.v1.MatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getRunMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Accepts a match and returns once a crash of the server can't lose its photo any more.
     * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
     * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
     * If the call's deadline passes first, the match continues: repeat the call with its request_id.
     * Errors: those of RunMatch, without UPDATES_UNREAD.
     * </pre>
     */
    public void createMatch(dev.facematch.v1.MatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a match in its present state, which is never older than an update delivered before.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public void getMatch(dev.facematch.v1.GetMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Waits until a match has ended. For callers that can't stream.
     * Returns the ended match. If the timeout passes first, returns the match in its present state,
     * also with OK.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public void waitMatch(dev.facematch.v1.WaitMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getWaitMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Streams the updates of a match after after_sequence: first the stored ones, then live ones.
     * Each durable update is sent once and in order. The stream ends with OK after the last update of
     * the match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
     * erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    public void watchMatch(dev.facematch.v1.WatchMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
     * itself.
     * The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
     * erased matches are skipped. The filter may change between resumes.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    public void watchMatches(dev.facematch.v1.WatchMatchesRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchMatchesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists matches in pages, newest first.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
     * </pre>
     */
    public void listMatches(dev.facematch.v1.ListMatchesRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.ListMatchesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListMatchesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
     * The server sends nothing more to Oz for the match, and undoes nothing there.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
     * </pre>
     */
    public void cancelMatch(dev.facematch.v1.CancelMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.Match> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelMatchMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Erases a match that has ended, immediately and permanently.
     * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
     * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
     * treat that as success. If the request_id may belong to a new match by then, repeat with the
     * match_id: a repeat with the request_id would erase the new match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
     * </pre>
     */
    public void deleteMatch(dev.facematch.v1.DeleteMatchRequest request,
        io.grpc.stub.StreamObserver<dev.facematch.v1.DeleteMatchResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteMatchMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service FaceMatch.
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public static final class FaceMatchBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<FaceMatchBlockingV2Stub> {
    private FaceMatchBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected FaceMatchBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new FaceMatchBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Accepts a match and streams all of its updates. The last update carries the verdict.
     * Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
     * A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
     * with the same request_id instead, since a server that crashes loses the photo.
     * A repeat streams from the first update. A refused call has no effect and doesn't use up its
     * request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
     * accepted, which a repeat finds out.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
     * ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
     * RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
     * never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, dev.facematch.v1.MatchUpdate>
        runMatch(dev.facematch.v1.MatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getRunMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Accepts a match and returns once a crash of the server can't lose its photo any more.
     * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
     * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
     * If the call's deadline passes first, the match continues: repeat the call with its request_id.
     * Errors: those of RunMatch, without UPDATES_UNREAD.
     * </pre>
     */
    public dev.facematch.v1.Match createMatch(dev.facematch.v1.MatchRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a match in its present state, which is never older than an update delivered before.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public dev.facematch.v1.Match getMatch(dev.facematch.v1.GetMatchRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Waits until a match has ended. For callers that can't stream.
     * Returns the ended match. If the timeout passes first, returns the match in its present state,
     * also with OK.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public dev.facematch.v1.Match waitMatch(dev.facematch.v1.WaitMatchRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getWaitMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams the updates of a match after after_sequence: first the stored ones, then live ones.
     * Each durable update is sent once and in order. The stream ends with OK after the last update of
     * the match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
     * erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, dev.facematch.v1.MatchUpdate>
        watchMatch(dev.facematch.v1.WatchMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
     * itself.
     * The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
     * erased matches are skipped. The filter may change between resumes.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, dev.facematch.v1.MatchUpdate>
        watchMatches(dev.facematch.v1.WatchMatchesRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchMatchesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists matches in pages, newest first.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
     * </pre>
     */
    public dev.facematch.v1.ListMatchesResponse listMatches(dev.facematch.v1.ListMatchesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListMatchesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
     * The server sends nothing more to Oz for the match, and undoes nothing there.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
     * </pre>
     */
    public dev.facematch.v1.Match cancelMatch(dev.facematch.v1.CancelMatchRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Erases a match that has ended, immediately and permanently.
     * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
     * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
     * treat that as success. If the request_id may belong to a new match by then, repeat with the
     * match_id: a repeat with the request_id would erase the new match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
     * </pre>
     */
    public dev.facematch.v1.DeleteMatchResponse deleteMatch(dev.facematch.v1.DeleteMatchRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteMatchMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service FaceMatch.
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public static final class FaceMatchBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<FaceMatchBlockingStub> {
    private FaceMatchBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected FaceMatchBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new FaceMatchBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Accepts a match and streams all of its updates. The last update carries the verdict.
     * Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
     * A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
     * with the same request_id instead, since a server that crashes loses the photo.
     * A repeat streams from the first update. A refused call has no effect and doesn't use up its
     * request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
     * accepted, which a repeat finds out.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
     * ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
     * RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
     * never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
     * </pre>
     */
    public java.util.Iterator<dev.facematch.v1.MatchUpdate> runMatch(
        dev.facematch.v1.MatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getRunMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Accepts a match and returns once a crash of the server can't lose its photo any more.
     * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
     * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
     * If the call's deadline passes first, the match continues: repeat the call with its request_id.
     * Errors: those of RunMatch, without UPDATES_UNREAD.
     * </pre>
     */
    public dev.facematch.v1.Match createMatch(dev.facematch.v1.MatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a match in its present state, which is never older than an update delivered before.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public dev.facematch.v1.Match getMatch(dev.facematch.v1.GetMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Waits until a match has ended. For callers that can't stream.
     * Returns the ended match. If the timeout passes first, returns the match in its present state,
     * also with OK.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public dev.facematch.v1.Match waitMatch(dev.facematch.v1.WaitMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getWaitMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams the updates of a match after after_sequence: first the stored ones, then live ones.
     * Each durable update is sent once and in order. The stream ends with OK after the last update of
     * the match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
     * erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    public java.util.Iterator<dev.facematch.v1.MatchUpdate> watchMatch(
        dev.facematch.v1.WatchMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
     * itself.
     * The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
     * erased matches are skipped. The filter may change between resumes.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
     * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
     * </pre>
     */
    public java.util.Iterator<dev.facematch.v1.MatchUpdate> watchMatches(
        dev.facematch.v1.WatchMatchesRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchMatchesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists matches in pages, newest first.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
     * </pre>
     */
    public dev.facematch.v1.ListMatchesResponse listMatches(dev.facematch.v1.ListMatchesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListMatchesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
     * The server sends nothing more to Oz for the match, and undoes nothing there.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
     * </pre>
     */
    public dev.facematch.v1.Match cancelMatch(dev.facematch.v1.CancelMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelMatchMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Erases a match that has ended, immediately and permanently.
     * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
     * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
     * treat that as success. If the request_id may belong to a new match by then, repeat with the
     * match_id: a repeat with the request_id would erase the new match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
     * </pre>
     */
    public dev.facematch.v1.DeleteMatchResponse deleteMatch(dev.facematch.v1.DeleteMatchRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteMatchMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service FaceMatch.
   * <pre>
   * Runs biometric matches at Oz and reports their progress.
   * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
   * that tenant only. On a server without authentication there is one tenant for all calls.
   * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
   * CreateMatch only with a request_id.
   * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
   * received, or with its token.
   * </pre>
   */
  public static final class FaceMatchFutureStub
      extends io.grpc.stub.AbstractFutureStub<FaceMatchFutureStub> {
    private FaceMatchFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected FaceMatchFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new FaceMatchFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Accepts a match and returns once a crash of the server can't lose its photo any more.
     * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
     * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
     * If the call's deadline passes first, the match continues: repeat the call with its request_id.
     * Errors: those of RunMatch, without UPDATES_UNREAD.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.Match> createMatch(
        dev.facematch.v1.MatchRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateMatchMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a match in its present state, which is never older than an update delivered before.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.Match> getMatch(
        dev.facematch.v1.GetMatchRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetMatchMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Waits until a match has ended. For callers that can't stream.
     * Returns the ended match. If the timeout passes first, returns the match in its present state,
     * also with OK.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.Match> waitMatch(
        dev.facematch.v1.WaitMatchRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getWaitMatchMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists matches in pages, newest first.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.ListMatchesResponse> listMatches(
        dev.facematch.v1.ListMatchesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListMatchesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
     * The server sends nothing more to Oz for the match, and undoes nothing there.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.Match> cancelMatch(
        dev.facematch.v1.CancelMatchRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelMatchMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Erases a match that has ended, immediately and permanently.
     * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
     * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
     * treat that as success. If the request_id may belong to a new match by then, repeat with the
     * match_id: a repeat with the request_id would erase the new match.
     * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
     * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.facematch.v1.DeleteMatchResponse> deleteMatch(
        dev.facematch.v1.DeleteMatchRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteMatchMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_RUN_MATCH = 0;
  private static final int METHODID_CREATE_MATCH = 1;
  private static final int METHODID_GET_MATCH = 2;
  private static final int METHODID_WAIT_MATCH = 3;
  private static final int METHODID_WATCH_MATCH = 4;
  private static final int METHODID_WATCH_MATCHES = 5;
  private static final int METHODID_LIST_MATCHES = 6;
  private static final int METHODID_CANCEL_MATCH = 7;
  private static final int METHODID_DELETE_MATCH = 8;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_RUN_MATCH:
          serviceImpl.runMatch((dev.facematch.v1.MatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate>) responseObserver);
          break;
        case METHODID_CREATE_MATCH:
          serviceImpl.createMatch((dev.facematch.v1.MatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.Match>) responseObserver);
          break;
        case METHODID_GET_MATCH:
          serviceImpl.getMatch((dev.facematch.v1.GetMatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.Match>) responseObserver);
          break;
        case METHODID_WAIT_MATCH:
          serviceImpl.waitMatch((dev.facematch.v1.WaitMatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.Match>) responseObserver);
          break;
        case METHODID_WATCH_MATCH:
          serviceImpl.watchMatch((dev.facematch.v1.WatchMatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate>) responseObserver);
          break;
        case METHODID_WATCH_MATCHES:
          serviceImpl.watchMatches((dev.facematch.v1.WatchMatchesRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.MatchUpdate>) responseObserver);
          break;
        case METHODID_LIST_MATCHES:
          serviceImpl.listMatches((dev.facematch.v1.ListMatchesRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.ListMatchesResponse>) responseObserver);
          break;
        case METHODID_CANCEL_MATCH:
          serviceImpl.cancelMatch((dev.facematch.v1.CancelMatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.Match>) responseObserver);
          break;
        case METHODID_DELETE_MATCH:
          serviceImpl.deleteMatch((dev.facematch.v1.DeleteMatchRequest) request,
              (io.grpc.stub.StreamObserver<dev.facematch.v1.DeleteMatchResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getRunMatchMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              dev.facematch.v1.MatchRequest,
              dev.facematch.v1.MatchUpdate>(
                service, METHODID_RUN_MATCH)))
        .addMethod(
          getCreateMatchMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.MatchRequest,
              dev.facematch.v1.Match>(
                service, METHODID_CREATE_MATCH)))
        .addMethod(
          getGetMatchMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.GetMatchRequest,
              dev.facematch.v1.Match>(
                service, METHODID_GET_MATCH)))
        .addMethod(
          getWaitMatchMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.WaitMatchRequest,
              dev.facematch.v1.Match>(
                service, METHODID_WAIT_MATCH)))
        .addMethod(
          getWatchMatchMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              dev.facematch.v1.WatchMatchRequest,
              dev.facematch.v1.MatchUpdate>(
                service, METHODID_WATCH_MATCH)))
        .addMethod(
          getWatchMatchesMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              dev.facematch.v1.WatchMatchesRequest,
              dev.facematch.v1.MatchUpdate>(
                service, METHODID_WATCH_MATCHES)))
        .addMethod(
          getListMatchesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.ListMatchesRequest,
              dev.facematch.v1.ListMatchesResponse>(
                service, METHODID_LIST_MATCHES)))
        .addMethod(
          getCancelMatchMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.CancelMatchRequest,
              dev.facematch.v1.Match>(
                service, METHODID_CANCEL_MATCH)))
        .addMethod(
          getDeleteMatchMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.facematch.v1.DeleteMatchRequest,
              dev.facematch.v1.DeleteMatchResponse>(
                service, METHODID_DELETE_MATCH)))
        .build();
  }

  private static abstract class FaceMatchBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    FaceMatchBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.facematch.v1.FaceMatchProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("FaceMatch");
    }
  }

  private static final class FaceMatchFileDescriptorSupplier
      extends FaceMatchBaseDescriptorSupplier {
    FaceMatchFileDescriptorSupplier() {}
  }

  private static final class FaceMatchMethodDescriptorSupplier
      extends FaceMatchBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    FaceMatchMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (FaceMatchGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new FaceMatchFileDescriptorSupplier())
              .addMethod(getRunMatchMethod())
              .addMethod(getCreateMatchMethod())
              .addMethod(getGetMatchMethod())
              .addMethod(getWaitMatchMethod())
              .addMethod(getWatchMatchMethod())
              .addMethod(getWatchMatchesMethod())
              .addMethod(getListMatchesMethod())
              .addMethod(getCancelMatchMethod())
              .addMethod(getDeleteMatchMethod())
              .build();
        }
      }
    }
    return result;
  }
}
