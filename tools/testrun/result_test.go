package main

import (
	"fmt"
	"strings"
	"testing"
)

// events writes what `go test -json` would.
func events(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func out(test, text string) string {
	return fmt.Sprintf(`{"Action":"output","Package":"p","Test":%q,"Output":%q}`, test, text)
}

func end(action, test string) string {
	return fmt.Sprintf(`{"Action":%q,"Package":"p","Test":%q}`, action, test)
}

func read(t *testing.T, stream string) (*result, string) {
	t.Helper()
	r := newResult("app")
	if err := r.read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	var explained strings.Builder
	r.explain(&explained)
	return r, explained.String()
}

func TestPassedTestsAreCountedAndSilent(t *testing.T) {
	t.Parallel()
	r, explained := read(t, events(
		out("TestA", "=== RUN TestA\n"), out("TestA", "    a_test.go:1: chatter\n"), end("pass", "TestA"),
		end("pass", "TestA/sub"), out("", "PASS\n"), out("", "ok  \tp\t0.1s\n"), end("pass", ""),
	))
	if r.bad() || r.passed != 2 || explained != "" {
		t.Errorf("%v, bad %v, explained %q", r, r.bad(), explained)
	}
	if len(r.closing) != 1 || r.closing[0] != "ok  \tp\t0.1s" {
		t.Errorf("the closing lines are %q", r.closing)
	}
}

func TestAFailedTestIsShownInFull(t *testing.T) {
	t.Parallel()
	r, explained := read(t, events(
		out("", "-test.shuffle 42\n"), out("TestA", "    a_test.go:1: want 1, got 2\n"), out("TestB", "    chatter\n"),
		end("pass", "TestB"), end("fail", "TestA"), out("", "FAIL\tp\t0.1s\n"), end("fail", ""),
	))
	if !r.bad() || r.failed != 1 || r.passed != 1 {
		t.Errorf("%v, bad %v", r, r.bad())
	}
	for _, want := range []string{"p TestA", "want 1, got 2", "-test.shuffle 42"} {
		if !strings.Contains(explained, want) {
			t.Errorf("%q is missing in %q", want, explained)
		}
	}
	if strings.Contains(explained, "chatter") {
		t.Errorf("a passed test is shown: %q", explained)
	}
}

func TestAPackageThatDoesNotCompileFailsWithTheCompilersWords(t *testing.T) {
	t.Parallel()
	r, explained := read(t, events(
		`{"Action":"build-output","ImportPath":"p [p.test]","Output":"a.go:1: undefined: x\n"}`,
		`{"Action":"build-fail","ImportPath":"p [p.test]"}`,
		out("", "FAIL\tp [build failed]\n"),
		`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
	))
	if !r.bad() || r.failed != 1 || !strings.Contains(explained, "undefined: x") {
		t.Errorf("%v, explained %q", r, explained)
	}
}

func TestASkipForWantOfAServiceIsAFailure(t *testing.T) {
	t.Parallel()
	r, explained := read(t, events(
		out("TestStore", "=== RUN   TestStore\n"), out("TestStore", "    store_test.go:9: no PostgreSQL: TEST_DATABASE_URL is not set\n"),
		out("TestStore", "--- SKIP: TestStore (0.00s)\n"), end("skip", "TestStore"),
	))
	if !r.bad() || r.skipped != 1 || !strings.Contains(explained, "although services are there: p TestStore: store_test.go:9: no PostgreSQL") {
		t.Errorf("%v, bad %v, explained %q", r, r.bad(), explained)
	}
}

func TestAnotherSkipIsToldWithItsReason(t *testing.T) {
	t.Parallel()
	r, explained := read(t, events(out("TestRoot", "    a_test.go:3: root may write everywhere\n"), end("skip", "TestRoot")))
	if r.bad() || r.skipped != 1 || !strings.Contains(explained, "root may write everywhere") {
		t.Errorf("%v, bad %v, explained %q", r, r.bad(), explained)
	}
}

func TestWhatIsNotJSONIsAFailure(t *testing.T) {
	t.Parallel()
	r, explained := read(t, "go: cannot find module\n")
	if !r.bad() || !strings.Contains(explained, "cannot find module") {
		t.Errorf("bad %v, explained %q", r.bad(), explained)
	}
}
