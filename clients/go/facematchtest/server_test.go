package facematchtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/facematch/facematch/clients/go/facematchtest"
)

// TestStartInAChild is run by the tests below, in a process with an environment of its own.
func TestStartInAChild(t *testing.T) {
	if os.Getenv("FACEMATCHTEST_CHILD") == "" {
		t.Skip("only for the tests below")
	}
	facematchtest.Start(t, strings.Fields(os.Getenv("FACEMATCHTEST_ARGUMENTS"))...)
}

// child returns what the test prints with an environment, and whether it passed or was skipped.
func child(t *testing.T, environment ...string) (string, bool) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestStartInAChild$", "-test.v")
	command.Env = append(environment, "FACEMATCHTEST_CHILD=1")
	output, err := command.CombinedOutput()
	return string(output), err == nil
}

func TestWithoutAProgramATestIsSkipped(t *testing.T) {
	output, ok := child(t, "PATH=/nonexistent")
	if !ok || !strings.Contains(output, "--- SKIP") || !strings.Contains(output, "set FACEMATCH_BIN") {
		t.Error(output)
	}
}

func TestWithoutAProgramATestFailsInCI(t *testing.T) {
	output, ok := child(t, "PATH=/nonexistent", "CI=true")
	if ok || !strings.Contains(output, "set FACEMATCH_BIN") {
		t.Error(output)
	}
}

func TestAProgramThatIsNamedAndMissingIsAFailure(t *testing.T) {
	output, ok := child(t, "FACEMATCH_BIN=/nonexistent/facematch")
	if ok || !strings.Contains(output, "names no program") {
		t.Error(output)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	// Without a program this one is skipped too.
	facematchtest.Start(t)
	binary := os.Getenv("FACEMATCH_BIN")
	if binary == "" {
		binary, _ = exec.LookPath("facematch")
	}
	output, ok := child(t, "FACEMATCH_BIN="+binary, "FACEMATCHTEST_ARGUMENTS=--no-such-flag")
	if ok || !strings.Contains(output, "no-such-flag") {
		t.Error(output)
	}
}
