// Package term talks to the person, or the log, on the other side of a command: questions and progress.
package term

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// IsTerminal tells whether a person is likely to read (or type) at f. The null device is a character device as well,
// which is what `make up </dev/null` gives, so it is ruled out by comparing files.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Agreed tells whether the environment already says yes to every question: CI=true or YES=1.
func Agreed(getenv func(string) string) bool {
	return getenv("CI") == "true" || getenv("YES") == "1"
}

// Confirm asks question on standard error and returns the answer. Without a terminal there is nobody to ask, so the
// answer is no unless the environment agreed beforehand.
func Confirm(question string) bool {
	if Agreed(os.Getenv) {
		return true
	}
	if !IsTerminal(os.Stdin) || !IsTerminal(os.Stderr) {
		return false
	}
	fmt.Fprintf(os.Stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// Progress shows that something long is still alive: a line that counts seconds on a terminal, a plain line now and
// then in a log.
type Progress struct {
	out   io.Writer
	tty   bool
	what  string
	began time.Time

	stop chan struct{}
	done sync.WaitGroup
}

// Start begins to show what, which reads as "buildx 0.38.2: building".
func Start(out *os.File, what string) *Progress {
	return start(out, IsTerminal(out), what)
}

// start is Start with the choice of display left to the caller.
func start(out io.Writer, tty bool, what string) *Progress {
	p := &Progress{out: out, tty: tty, what: what, began: time.Now(), stop: make(chan struct{})}
	every := 30 * time.Second
	if tty {
		every = time.Second
	}
	p.show()
	p.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// show prints the state: over the line before on a terminal, as a new line in a log.
func (p *Progress) show() {
	elapsed := int(time.Since(p.began).Seconds())
	switch {
	case p.tty:
		fmt.Fprintf(p.out, "\r\033[K%s … %d s", p.what, elapsed)
	case elapsed == 0:
		fmt.Fprintf(p.out, "%s …\n", p.what)
	default:
		fmt.Fprintf(p.out, "%s … %d s\n", p.what, elapsed)
	}
}

// Done ends the display with its last line, such as "built".
func (p *Progress) Done(result string) {
	close(p.stop)
	p.done.Wait()
	if p.tty {
		fmt.Fprint(p.out, "\r\033[K")
	}
	fmt.Fprintf(p.out, "%s: %s in %.1f s\n", p.what, result, time.Since(p.began).Seconds())
}
