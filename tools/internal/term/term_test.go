package term

import (
	"os"
	"strings"
	"testing"
)

func TestOnlyTheAgreedValuesMeanYes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing is set": {nil, false},
		"CI=true":        {map[string]string{"CI": "true"}, true},
		"CI=1":           {map[string]string{"CI": "1"}, false},
		"YES=1":          {map[string]string{"YES": "1"}, true},
		"YES=0":          {map[string]string{"YES": "0"}, false},
	} {
		if got := Agreed(func(v string) string { return c.env[v] }); got != c.want {
			t.Errorf("%s: Agreed is %v, want %v", name, got, c.want)
		}
	}
}

func TestTheNullDeviceAndFilesAreNoTerminals(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, f := range []*os.File{null, file} {
		if IsTerminal(f) {
			t.Errorf("%s is taken for a terminal", f.Name())
		}
	}
}

func TestProgressInALogIsPlainLines(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p := start(&log, false, "a tool: building")
	p.Done("built")
	got := log.String()
	if !strings.HasPrefix(got, "a tool: building …\na tool: building: built in ") || strings.ContainsAny(got, "\r\033") {
		t.Errorf("the log is %q", got)
	}
}

func TestProgressOnATerminalClearsItsLine(t *testing.T) {
	t.Parallel()
	var screen strings.Builder
	p := start(&screen, true, "a tool: building")
	p.Done("built")
	if got := screen.String(); !strings.HasPrefix(got, "\r\033[Ka tool: building … 0 s\r\033[Ka tool: building: built in ") {
		t.Errorf("the screen got %q", got)
	}
}
