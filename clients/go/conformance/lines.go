package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/facematch/facematch/clients/go/facematch"
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

func sayUpdate(call string, update *facematch.Update) {
	say("update", parts{
		"call":         call,
		"sequence":     update.GetSequence(),
		"match_id":     update.GetMatchId(),
		"resume_token": update.GetResumeToken(),
		"kind":         kind(update),
		"state":        state(update.GetMatch()),
		"resolution":   resolution(update.GetMatch()),
		"cause":        update.GetAttemptFailed().GetCause(),
	})
}

// kind is the name of the update's event in the contract.
func kind(update *facematch.Update) string {
	message := update.ProtoReflect()
	event := message.WhichOneof(message.Descriptor().Oneofs().ByName("event"))
	if event == nil {
		return "unknown"
	}
	return string(event.Name())
}

func sayItem(call string, match *facematch.Match) {
	say("item", parts{
		"call":       call,
		"match_id":   match.GetMatchId(),
		"request_id": match.GetRequestId(),
		"state":      state(match),
	})
}

func state(match *facematch.Match) string {
	if match == nil {
		return ""
	}
	return word(pb.MatchState_name, "MATCH_STATE_", int32(match.GetState()))
}

func resolution(match *facematch.Match) string {
	if match.GetResult() == nil {
		return ""
	}
	return word(pb.Resolution_name, "RESOLUTION_", int32(match.GetResult().GetResolution()))
}

// word is the name of an enum's value without its prefix, or its number.
func word(names map[int32]string, prefix string, number int32) string {
	if name, ok := names[number]; ok {
		return strings.TrimPrefix(name, prefix)
	}
	return strconv.Itoa(int(number))
}

func matchParts(match *facematch.Match, err error) (parts, error) {
	if err != nil {
		return nil, err
	}
	return parts{
		"match_id":     match.GetMatchId(),
		"request_id":   match.GetRequestId(),
		"folder_id":    match.GetFolderId(),
		"state":        state(match),
		"sequence":     match.GetSequence(),
		"resolution":   resolution(match),
		"error_reason": match.GetError().GetReason(),
	}, nil
}

func verdictParts(verdict facematch.Verdict, err error) (parts, error) {
	if err != nil {
		return nil, err
	}
	return parts{
		"resolution":     word(pb.Resolution_name, "RESOLUTION_", int32(verdict.Resolution)),
		"same_person":    verdict.SamePerson(),
		"match_id":       verdict.MatchID,
		"request_id":     verdict.RequestID,
		"min_confidence": verdict.MinConfidence,
		"text":           fmt.Sprintf("%v %+v %#v", verdict, verdict, verdict),
	}, nil
}

func deletedParts(deleted facematch.Deleted, err error) (parts, error) {
	if err != nil {
		return nil, err
	}
	result := parts{"match_id": deleted.MatchID, "photo_media_id": deleted.PhotoMediaID}
	if deleted.AlreadyGone {
		result["already_gone"] = true
	}
	return result, nil
}

func sayReconnect(client string, told facematch.Reconnect) {
	say("reconnect", parts{
		"client":  client,
		"attempt": told.Attempt,
		"code":    code.Code_name[int32(told.Err.Code)],
		"reason":  string(told.Err.Reason),
		"wait_ms": told.Wait.Milliseconds(),
		"text":    fmt.Sprintf("%+v %#v", told, told),
	})
}

// kinds are in the order in which they are asked for.
var kinds = []struct {
	kind error
	word string
}{
	{facematch.ErrUsage, "usage"},
	{facematch.ErrMatchFailed, "failed"},
	{facematch.ErrMatchCancelled, "match_cancelled"},
	{facematch.ErrGaveUp, "gave_up"},
	{facematch.ErrContract, "contract"},
	{facematch.ErrClosed, "cancelled"},
	{context.DeadlineExceeded, "deadline"},
	{context.Canceled, "cancelled"},
}

func sayError(whose parts, err error) {
	var own *facematch.Error
	if !errors.As(err, &own) {
		say("error", whose, parts{"kind": "a bug of the library", "text": fmt.Sprintf("%+v", err)})
		return
	}
	keys := parts{
		"kind":            "refused",
		"code":            code.Code_name[int32(own.Code)],
		"reason":          string(own.Reason),
		"message":         own.Message,
		"metadata":        own.Metadata,
		"is":              reasonsOf(err),
		"violations":      fields(own),
		"request_id":      own.RequestID,
		"match_id":        own.MatchID,
		"match_continues": own.MatchContinues,
		"text":            text(err),
	}
	for _, it := range kinds {
		if errors.Is(err, it.kind) {
			keys["kind"] = it.word
			break
		}
	}
	if keys["kind"] == "failed" {
		keys["retryable"] = own.Retryable
	}
	if own.Code == codes.OK {
		delete(keys, "code")
	}
	if own.RetryAfter > 0 {
		keys["retry_after_ms"] = own.RetryAfter / time.Millisecond
	}
	say("error", whose, keys)
}

func reasonsOf(err error) []string {
	found := []string{}
	for _, reason := range facematch.Reasons() {
		if errors.Is(err, reason) {
			found = append(found, string(reason))
		}
	}
	return found
}

func fields(err *facematch.Error) []string {
	names := []string{}
	for _, it := range err.Violations {
		names = append(names, it.Field)
	}
	return names
}

// text is all that a program may print of an error.
func text(err error) string {
	lines := []string{fmt.Sprintf("%v %+v %#v %q", err, err, err, err)}
	switch wrapping := err.(type) {
	case interface{ Unwrap() error }:
		if inner := wrapping.Unwrap(); inner != nil {
			lines = append(lines, text(inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapping.Unwrap() {
			lines = append(lines, text(inner))
		}
	}
	return strings.Join(lines, "\n")
}
