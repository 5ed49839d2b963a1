package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/facematch/facematch/clients/go/facematch"
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// callOptions are the keys of the command call.
type callOptions struct {
	Verb       string   `json:"verb"`
	DeadlineMS *int64   `json:"deadline_ms"`
	Request    *request `json:"request"`
	ID         struct {
		MatchID   string `json:"match_id"`
		RequestID string `json:"request_id"`
	} `json:"id"`
	AfterSequence   uint64            `json:"after_sequence"`
	IncludeProgress bool              `json:"include_progress"`
	Heartbeats      bool              `json:"heartbeats"`
	ResumeToken     string            `json:"resume_token"`
	FolderID        string            `json:"folder_id"`
	Labels          map[string]string `json:"labels"`
	OnExpired       string            `json:"on_expired"`
	States          []string          `json:"states"`
	PageSize        int32             `json:"page_size"`
	PauseAfter      []int             `json:"pause_after"`
	StopAfter       *int              `json:"stop_after"`
}

type request struct {
	FolderID string `json:"folder_id"`
	Photo    struct {
		Path          string `json:"path"`
		As            string `json:"as"`
		ReferenceKey  string `json:"reference_key"`
		FolderMediaID string `json:"folder_media_id"`
	} `json:"photo"`
	Kind             string            `json:"kind"`
	RequestID        string            `json:"request_id"`
	TimeoutMS        int64             `json:"timeout_ms"`
	LivenessPolicy   string            `json:"liveness_policy"`
	LivenessMediaIDs []string          `json:"liveness_media_ids"`
	Labels           map[string]string `json:"labels"`
	IncludeProgress  bool              `json:"include_progress"`
}

// A call is one call, from its command to its last line.
type call struct {
	name    string
	client  *facematch.Client
	options callOptions
	ctx     context.Context
	cancel  context.CancelFunc
	goOn    chan struct{}
	// token is the resume token of watch_all; nil for the other verbs.
	token func() string
}

// An unknown word of the command is no error of the library.
type unknownWord string

func (w unknownWord) Error() string { return string(w) }

func (c *call) run() {
	result, err := c.result()
	if what, ok := err.(unknownWord); ok {
		unsupported("", c.name, string(what))
		return
	}
	if err != nil {
		sayError(parts{"call": c.name}, err)
		return
	}
	say("result", parts{"call": c.name}, result)
}

func (c *call) result() (parts, error) {
	switch c.options.Verb {
	case "match", "run", "create":
		return c.begin()
	case "watch":
		stream := c.client.Watch(c.ctx, facematch.WatchRequest{
			ID:                c.id(),
			AfterSequence:     c.options.AfterSequence,
			IncludeProgress:   c.options.IncludeProgress,
			IncludeHeartbeats: c.options.Heartbeats,
		})
		return c.follow(stream)
	case "watch_all":
		return c.watchAll()
	case "list":
		return c.list()
	case "get":
		return matchParts(c.client.Get(c.ctx, c.id()))
	case "wait":
		return matchParts(c.client.Wait(c.ctx, c.id()))
	case "cancel":
		return matchParts(c.client.Cancel(c.ctx, c.id()))
	case "delete":
		return deletedParts(c.client.Delete(c.ctx, c.id()))
	default:
		return nil, unknownWord("the verb " + c.options.Verb)
	}
}

// begin is a verb that has a photo.
func (c *call) begin() (parts, error) {
	request, err := c.options.Request.toLibrary()
	if err != nil {
		return nil, err
	}
	request.IncludeHeartbeats = c.options.Heartbeats
	switch c.options.Verb {
	case "match":
		return verdictParts(c.client.Match(c.ctx, request))
	case "create":
		return matchParts(c.client.Create(c.ctx, request))
	default:
		stream := c.client.Run(c.ctx, request)
		say("request_id", parts{"call": c.name, "request_id": stream.RequestID()})
		return c.follow(stream)
	}
}

func (c *call) follow(stream *facematch.MatchStream) (parts, error) {
	stopped, err := read(c, stream.Updates(), sayUpdate)
	if err != nil {
		return nil, err
	}
	match := stream.Match()
	return parts{"state": state(match), "resolution": resolution(match), "stopped": stopped}, nil
}

func (c *call) watchAll() (parts, error) {
	policies := map[string]facematch.ExpiredPolicy{
		"":         facematch.ExpiredFails,
		"raise":    facematch.ExpiredFails,
		"earliest": facematch.ExpiredFromEarliest,
		"now":      facematch.ExpiredFromNow,
	}
	policy, ok := policies[c.options.OnExpired]
	if !ok {
		return nil, unknownWord("on_expired " + c.options.OnExpired)
	}
	stream := c.client.WatchAll(c.ctx, facematch.WatchAllRequest{
		ResumeToken:       c.options.ResumeToken,
		OnExpired:         policy,
		FolderID:          c.options.FolderID,
		Labels:            c.options.Labels,
		IncludeHeartbeats: c.options.Heartbeats,
	})
	c.token = stream.ResumeToken
	stopped, err := read(c, stream.Updates(), sayUpdate)
	if err != nil {
		return nil, err
	}
	// Printed, the update at which the loop was left is done.
	stream.Done()
	return parts{"resume_token": stream.ResumeToken(), "stopped": stopped}, nil
}

func (c *call) list() (parts, error) {
	request := facematch.ListRequest{
		FolderID: c.options.FolderID,
		Labels:   c.options.Labels,
		PageSize: c.options.PageSize,
	}
	for _, name := range c.options.States {
		number, ok := pb.MatchState_value["MATCH_STATE_"+name]
		if !ok {
			return nil, unknownWord("the state " + name)
		}
		request.States = append(request.States, facematch.State(number))
	}
	_, err := read(c, c.client.List(c.ctx, request), sayItem)
	return parts{}, err
}

// read prints what the library hands out. The key stopped is there only if the call was left.
func read[Item any](c *call, items iter.Seq2[Item, error], print func(string, Item)) (any, error) {
	count := 0
	c.pauseAfter(count)
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		count++
		print(c.name, item)
		if c.options.StopAfter != nil && count == *c.options.StopAfter {
			return true, nil
		}
		c.pauseAfter(count)
	}
	return nil, nil
}

func (c *call) pauseAfter(count int) {
	if !slices.Contains(c.options.PauseAfter, count) {
		return
	}
	paused := parts{"call": c.name}
	if c.token != nil {
		paused["resume_token"] = c.token()
	}
	say("paused", paused)
	select {
	case <-c.goOn:
	case <-c.ctx.Done():
	}
}

func (c *call) id() facematch.ID {
	if c.options.ID.RequestID != "" {
		return facematch.RequestID(c.options.ID.RequestID)
	}
	return facematch.MatchID(c.options.ID.MatchID)
}

func (r *request) toLibrary() (facematch.MatchRequest, error) {
	photo, err := r.photo()
	if err != nil {
		return facematch.MatchRequest{}, err
	}
	kinds := map[string]facematch.PhotoKind{
		"":         0,
		"selfie":   facematch.PhotoSelfie,
		"id_front": facematch.PhotoIDFront,
	}
	policies := map[string]facematch.LivenessPolicy{
		"":        0,
		"report":  facematch.LivenessReport,
		"require": facematch.LivenessRequire,
		"run":     facematch.LivenessRun,
	}
	kind, isKind := kinds[r.Kind]
	policy, isPolicy := policies[r.LivenessPolicy]
	if !isKind || !isPolicy {
		return facematch.MatchRequest{}, unknownWord(fmt.Sprintf("%s, %s", r.Kind, r.LivenessPolicy))
	}
	return facematch.MatchRequest{
		FolderID:         r.FolderID,
		Photo:            photo,
		PhotoKind:        kind,
		RequestID:        r.RequestID,
		Timeout:          ms(r.TimeoutMS),
		LivenessPolicy:   policy,
		LivenessMediaIDs: r.LivenessMediaIDs,
		Labels:           r.Labels,
		IncludeProgress:  r.IncludeProgress,
	}, nil
}

func (r *request) photo() (facematch.Photo, error) {
	switch {
	case r.Photo.ReferenceKey != "":
		return facematch.PhotoByKey(r.Photo.ReferenceKey), nil
	case r.Photo.FolderMediaID != "":
		return facematch.PhotoInFolder(r.Photo.FolderMediaID), nil
	case r.Photo.As == "path":
		return facematch.PhotoFile(r.Photo.Path), nil
	case r.Photo.As == "bytes":
		content, err := os.ReadFile(r.Photo.Path)
		return facematch.PhotoBytes(content), err
	case r.Photo.As == "stream":
		file, err := os.Open(r.Photo.Path)
		return facematch.PhotoReader(file), err
	default:
		return facematch.Photo{}, unknownWord("a photo as " + r.Photo.As)
	}
}
