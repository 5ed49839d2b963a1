package facematchtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Simulator controls the simulated Oz. Folders, rules that match a folder and the record are for one
// test; the switches and the clock are shared by all tests at a server.
type Simulator struct {
	url    string
	client *http.Client
}

func newSimulator(address string) *Simulator {
	return &Simulator{url: address, client: &http.Client{Timeout: time.Minute}}
}

// Folder describes a folder at Oz. Zero fields are those of a person with a passed liveness check.
type Folder struct {
	// Person in the liveness media: "portrait" or "stranger", the simulator's sample pictures.
	Person string
	// Picture is a JPEG or PNG of a test's own, instead of Person.
	Picture []byte
	// Verdict is how every match in the folder ends. Zero: by the pictures.
	Verdict Outcome
	// Liveness is how every liveness check in the folder ends. Zero: SUCCESS.
	Liveness Outcome
}

// Outcome is how an analysis at Oz ends. Zero fields have no influence.
type Outcome struct {
	// Resolution is a word of Oz, such as DECLINED; also one that Oz doesn't know.
	Resolution string
	// State is FINISHED if it is empty; FAILED is an analysis without a result.
	State string
	// MinConfidence is the similarity, from 0 to 1.
	MinConfidence float64
	// ConfidenceSpoofing is the score of a liveness check, from 0 to 1.
	ConfidenceSpoofing float64
	// Processing is how long the analysis takes, by the simulator's clock.
	Processing time.Duration
}

func (o Outcome) body() map[string]any {
	body := map[string]any{}
	set(body, "resolution", o.Resolution)
	set(body, "state", o.State)
	set(body, "min_confidence", o.MinConfidence)
	set(body, "confidence_spoofing", o.ConfidenceSpoofing)
	set(body, "processing_ms", o.Processing.Milliseconds())
	return body
}

func set[V comparable](body map[string]any, key string, value V) {
	var zero V
	if value != zero {
		body[key] = value
	}
}

// NewFolder makes a folder and returns its id.
func (s *Simulator) NewFolder(t testing.TB, folder Folder) string {
	t.Helper()
	body := map[string]any{}
	set(body, "person", folder.Person)
	set(body, "picture", base64.StdEncoding.EncodeToString(folder.Picture))
	if verdict := folder.Verdict.body(); len(verdict) > 0 {
		body["verdict"] = verdict
	}
	if liveness := folder.Liveness.body(); len(liveness) > 0 {
		body["quality"] = liveness
	}
	var made struct {
		FolderID string `json:"folder_id"`
	}
	s.Do(t, http.MethodPost, "/sim/folders", body, &made)
	return made.FolderID
}

// Portrait is a photo of the person in the folders of [Server.NewFolder]: a match with it is SUCCESS.
func (s *Simulator) Portrait(t testing.TB) []byte {
	t.Helper()
	return s.sample(t, "portrait.jpg")
}

// Stranger is a photo of another person: a match with it is DECLINED.
func (s *Simulator) Stranger(t testing.TB) []byte {
	t.Helper()
	return s.sample(t, "stranger.jpg")
}

func (s *Simulator) sample(t testing.TB, name string) []byte {
	t.Helper()
	var picture []byte
	s.Do(t, http.MethodGet, "/sim/samples/"+name, nil, &picture)
	return picture
}

// Rule adds a fault or an outcome until the test ends: then happens to the requests that match. The
// keys are those of docs/simulator.md, such as {"endpoint": "add_media", "folder": folder} and
// {"status": 503}.
func (s *Simulator) Rule(t testing.TB, match, then map[string]any) {
	t.Helper()
	// The simulator's log and record show the name, which has at most 200 bytes.
	name := strings.ReplaceAll(t.Name(), "/", " ")
	name = fmt.Sprintf("%.150s %d", name, time.Now().UnixNano())
	path := "/sim/rules/" + url.PathEscape(name)
	s.Do(t, http.MethodPut, path, map[string]any{"match": match, "then": then}, nil)
	t.Cleanup(func() { s.Do(t, http.MethodDelete, path, nil, nil) })
}

// Switches changes how this Oz differs from others, for all tests at the server: docs/simulator.md
// lists the keys.
func (s *Simulator) Switches(t testing.TB, switches map[string]any) {
	t.Helper()
	s.Do(t, http.MethodPatch, "/sim/switches", switches, nil)
}

// Processing sets how long analyses take in folders that don't say so themselves.
func (s *Simulator) Processing(t testing.TB, duration time.Duration) {
	t.Helper()
	s.Switches(t, map[string]any{"processing_ms": duration.Milliseconds()})
}

// Skip moves the simulator's clock forward: analyses that have begun finish, sessions expire. The
// service keeps its own time. Wait for the update analysis_started before.
func (s *Simulator) Skip(t testing.TB, duration time.Duration) {
	t.Helper()
	s.Do(t, http.MethodPost, "/sim/clock", map[string]any{"skip_ms": duration.Milliseconds()}, nil)
}

// A Request is one that the service sent to Oz.
type Request struct {
	// Endpoint is what was asked, such as add_media, start_analyses or get_analysis.
	Endpoint string `json:"endpoint"`
	// Path is the path of the URL.
	Path string `json:"path"`
	// Acted reports whether Oz acted on it.
	Acted bool `json:"acted"`
	// Rules are the names of the rules that applied.
	Rules []string `json:"rules"`
}

// Asked returns the requests about a folder, oldest first, at most 1,000.
func (s *Simulator) Asked(t testing.TB, folder string) []Request {
	t.Helper()
	var page struct {
		Items []Request `json:"items"`
	}
	s.Do(t, http.MethodGet, "/sim/record?limit=1000&folder="+url.QueryEscape(folder), nil, &page)
	return page.Items
}

// Do sends any request to the simulator's control API, and reads the answer into a value for JSON, or
// into a *[]byte as it is. The body and into may be nil.
func (s *Simulator) Do(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if err := s.do(method, path, body, into); err != nil {
		t.Fatalf("facematchtest: %s %s: %v", method, path, err)
	}
}

func (s *Simulator) do(method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, s.url+path, sent)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *[]byte:
		*into = text
		return nil
	default:
		return json.Unmarshal(text, into)
	}
}
