package bookimport

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// shows runs steps through a printer whose clock each step moves on.
func shows(terminal bool, total int64, steps ...struct {
	after time.Duration
	at    Progress
}) string {
	var out bytes.Buffer
	clock := today
	p := newProgressPrinter(&out, total, func() time.Time { return clock })
	p.terminal = terminal
	for _, step := range steps {
		clock = clock.Add(step.after)
		p.show(step.at)
	}
	p.done()
	return out.String()
}

type step = struct {
	after time.Duration
	at    Progress
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	t.Parallel()
	got := shows(true, 1000,
		step{time.Second, Progress{Bytes: 500, Rows: 12_345}},
		step{time.Millisecond, Progress{Bytes: 600, Rows: 12_346}}, // too soon
		step{time.Second, Progress{Bytes: 2000, Rows: 20_000}},     // a file that grows
		step{time.Millisecond, Progress{Bytes: 1000, Rows: 20_000, Merging: true}},
	)
	want := "\r[" + strings.Repeat("#", 15) + strings.Repeat(".", 15) + "]  50 %  12,345 rows\x1b[K" +
		"\r[" + strings.Repeat("#", 30) + "] 100 %  20,000 rows\x1b[K" +
		"\r20,000 rows read, merging\x1b[K" +
		"\r\x1b[K"
	if got != want {
		t.Errorf("terminal shows %q, want %q", got, want)
	}
}

func TestProgressIsAFewPlainLinesElsewhere(t *testing.T) {
	t.Parallel()
	got := shows(false, 1000,
		step{time.Second, Progress{Bytes: 100, Rows: 1000}},
		step{4 * time.Second, Progress{Bytes: 500, Rows: 5000}},
		step{time.Second, Progress{Bytes: 600, Rows: 6000}},
		step{5 * time.Second, Progress{Bytes: 1000, Rows: 9000, Merging: true}},
	)
	if want := "5,000 rows read, 50 %\n9,000 rows read, merging\n"; got != want {
		t.Errorf("log shows %q, want %q", got, want)
	}
}

func TestProgressOfAnUnknownLengthCountsRows(t *testing.T) {
	t.Parallel()
	if got, want := shows(false, 0, step{time.Minute, Progress{Bytes: 9, Rows: 3}}), "3 rows read\n"; got != want {
		t.Errorf("log shows %q, want %q", got, want)
	}
}

func TestAShortImportShowsNothing(t *testing.T) {
	t.Parallel()
	if got := shows(false, 10, step{time.Second, Progress{Bytes: 10, Rows: 1, Merging: true}}); got != "" {
		t.Errorf("log shows %q", got)
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer is taken for a terminal")
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
