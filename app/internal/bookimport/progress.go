package bookimport

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressPrinter shows an import's progress: as a bar that is drawn over itself on a terminal, elsewhere as a plain line
// every few seconds, so that a log does not fill.
type progressPrinter struct {
	out      io.Writer
	terminal bool
	total    int64 // bytes; 0 when not known
	last     time.Time
	now      func() time.Time
	drawn    bool
}

const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 5 * time.Second
	barWidth     = 30
)

// newProgressPrinter counts the first interval from now: a short import prints no lines.
func newProgressPrinter(out io.Writer, total int64, now func() time.Time) *progressPrinter {
	return &progressPrinter{out: out, terminal: isTerminal(out), total: total, last: now(), now: now}
}

// isTerminal also takes /dev/null for one, which does no harm.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show is what Run calls.
func (p *progressPrinter) show(at Progress) {
	interval := lineInterval
	if p.terminal {
		interval = barInterval
	}
	now := p.now()
	// The merge is one step without a progress of its own, so a bar says that it has begun.
	if now.Sub(p.last) < interval && !(at.Merging && p.terminal) {
		return
	}
	p.last = now
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", p.line(at)) // ESC [ K erases what a longer line left (ECMA-48)
		p.drawn = true
		return
	}
	fmt.Fprintln(p.out, p.line(at))
}

// done takes the bar away, so that the report begins on a clean line.
func (p *progressPrinter) done() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *progressPrinter) line(at Progress) string {
	rows := thousands(at.Rows) + " rows"
	switch {
	case at.Merging:
		return rows + " read, merging"
	case p.total <= 0:
		return rows + " read"
	}
	// The reader is ahead of the rows by a buffer, and a file may grow while it is read.
	done := min(float64(at.Bytes)/float64(p.total), 1)
	if !p.terminal {
		return fmt.Sprintf("%s read, %.0f %%", rows, 100*done)
	}
	filled := int(done * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), 100*done, rows)
}
