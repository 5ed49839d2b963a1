// Package readme holds the README and the examples to each other: each snippet is a part of a program
// that runs.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
	"github.com/facematch/facematch/clients/go/facematchtest"
)

const module = "../.."

// examples are those whose snippets the README shows, in its order.
var examples = []string{
	"examples/verdict/main.go",
	"examples/progress/main.go",
	"examples/resume/main.go",
	"examples/errors/main.go",
	"examples/follow/main.go",
	"examples/testing/onboarding_test.go",
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// snippet is the marked part of a source, without its indentation.
func snippet(t *testing.T, path string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, path), "// README: begin\n")
	part, _, ends := strings.Cut(rest, "// README: end")
	if !found || !ends {
		t.Fatalf("%s has no marked part", path)
	}
	part = strings.TrimRight(part, "\t\n") + "\n"
	indent := part[:len(part)-len(strings.TrimLeft(part, "\t"))]
	return strings.TrimPrefix(strings.ReplaceAll("\n"+part, "\n"+indent, "\n"), "\n")
}

func TestTheSnippetsOfTheReadmeArePartsOfExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) != len(examples) {
		t.Fatalf("the README has %d snippets, want %d", len(blocks), len(examples))
	}
	for i, path := range examples {
		if want := snippet(t, path); blocks[i][1] != want {
			t.Errorf("the snippet of %s is\n%s\nthe README has\n%s", path, want, blocks[i][1])
		}
	}
}

func TestTheReadmeFitsAScreen(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines > 160 {
		t.Errorf("the README has %d lines", lines)
	}
}

func TestTheVersionIsThatOfTheServer(t *testing.T) {
	manifest := read(t, "../../Cargo.toml")
	version := regexp.MustCompile(`(?m)^version = "(.*)"$`).FindStringSubmatch(manifest)
	if version == nil || version[1] != facematch.Version {
		t.Errorf("Version is %s, the server's is %v", facematch.Version, version)
	}
}

// A Go module from version 2 on has its major version in its path.
func TestThePathOfTheModuleFitsItsVersion(t *testing.T) {
	path, _, _ := strings.Cut(strings.TrimPrefix(read(t, "go.mod"), "module "), "\n")
	major, _, _ := strings.Cut(facematch.Version, ".")
	if major != "0" && major != "1" && !strings.HasSuffix(path, "/v"+major) {
		t.Errorf("%s is the path of version %s", path, facematch.Version)
	}
}

func run(t *testing.T, example string, arguments ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), example)
	build := exec.Command("go", "build", "-o", program, "./examples/"+example)
	build.Dir = module
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	output, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", example, err, output)
	}
	return string(output)
}

func contains(t *testing.T, output string, wanted ...string) {
	t.Helper()
	for _, it := range wanted {
		if !strings.Contains(output, it) {
			t.Errorf("%q is not in\n%s", it, output)
		}
	}
}

func TestTheExamplesRun(t *testing.T) {
	server := facematchtest.Start(t)
	photo := filepath.Join(t.TempDir(), "portrait.jpg")
	if err := os.WriteFile(photo, server.Oz.Portrait(t), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("verdict", func(t *testing.T) {
		output := run(t, "verdict", server.Target, server.NewFolder(t), photo)
		contains(t, output, "same person: true passed liveness: true")
	})
	t.Run("progress", func(t *testing.T) {
		output := run(t, "progress", server.Target, server.NewFolder(t), photo)
		contains(t, output, "1 MATCH_STATE_ACCEPTED", "4 MATCH_STATE_FINISHED", "SUCCESS")
	})
	t.Run("resume", func(t *testing.T) {
		folder, record := server.NewFolder(t), filepath.Join(t.TempDir(), "record")
		first := run(t, "resume", server.Target, folder, photo, record)
		contains(t, first, "true")
		if second := run(t, "resume", server.Target, folder, photo, record); second != first {
			t.Errorf("the second start ran another match: %s, %s", first, second)
		}
	})
	t.Run("errors", func(t *testing.T) {
		folder := server.Oz.NewFolder(t, facematchtest.Folder{Person: "stranger"})
		contains(t, run(t, "errors", server.Target, folder, photo), "not the same person")
	})
	t.Run("follow", func(t *testing.T) { follows(t, server) })
}

// follows interrupts the example once it has stored the token of the match's end.
func follows(t *testing.T, server *facematchtest.Server) {
	folder, tokenFile := server.NewFolder(t), filepath.Join(t.TempDir(), "token")
	request := facematch.MatchRequest{FolderID: folder, Photo: facematch.PhotoBytes(server.Oz.Portrait(t))}
	verdict, err := server.Client.Match(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "follow")
	build := exec.Command("go", "build", "-o", program, "./examples/follow")
	build.Dir = module
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var output strings.Builder
	follow := exec.Command(program, server.Target, folder, tokenFile)
	follow.Stdout, follow.Stderr = &output, &output
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	last := lastToken(t, server.Client, folder)
	deadline := time.Now().Add(time.Minute)
	for {
		token, _ := os.ReadFile(tokenFile)
		if string(token) == last || time.Now().After(deadline) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("follow: %v\n%s", err, output.String())
	}
	contains(t, output.String(), verdict.MatchID+" MATCH_STATE_FINISHED")
}

func lastToken(t *testing.T, client *facematch.Client, folder string) string {
	t.Helper()
	all := client.WatchAll(t.Context(), facematch.WatchAllRequest{FolderID: folder, ResumeToken: facematch.Earliest})
	for update, err := range all.Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if update.GetMatch().GetState() == facematch.StateFinished {
			return update.GetResumeToken()
		}
	}
	return ""
}
