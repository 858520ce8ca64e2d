package settings

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// binder takes variables out of the environment one by one and gathers the problems instead of stopping at the first. What
// is left at the end is nobody's.
type binder struct {
	environment map[string]string
	problems    []string
}

func (b *binder) problem(name, format string, args ...any) {
	b.problems = append(b.problems, name+": "+fmt.Sprintf(format, args...))
}

// text takes a variable, or gives the default. Set but empty is a mistake, usually a template with a hole in it.
func (b *binder) text(name, fallback string) string {
	value, set := b.environment[name]
	delete(b.environment, name)
	if !set {
		return fallback
	}
	if strings.TrimSpace(value) == "" {
		b.problem(name, "is set but empty; unset it for its default or give a value")
		return fallback
	}
	return value
}

// address takes what net.Listen takes, with a port that has a number.
func (b *binder) address(name, fallback string) string {
	value := b.text(name, fallback)
	if _, ok := portOf(value); !ok {
		b.problem(name, "must be host:port with a port from 1 to 65535, such as %q, is %q", fallback, value)
	}
	return value
}

func portOf(address string) (int, bool) {
	_, text, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(text, 10, 16)
	return int(port), err == nil && portErr == nil && port > 0
}

// port takes a port number.
func (b *binder) port(name string, fallback int) int {
	value := b.text(name, strconv.Itoa(fallback))
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		b.problem(name, "must be a port from 1 to 65535, is %q", value)
	}
	return int(port)
}

// duration takes a Go duration. A number without a unit is refused: nobody can tell whether 5 means seconds.
func (b *binder) duration(name string, fallback, lowest, highest time.Duration) time.Duration {
	value := b.text(name, fallback.String())
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		b.problem(name, "must be a duration such as %q, is %q", fallback, value)
	case d < lowest || d > highest:
		b.problem(name, "must be from %v to %v, is %v", lowest, highest, d)
	}
	return d
}

// oneOf takes one of a few words, the first of which is the default.
func (b *binder) oneOf(name string, words ...string) string {
	value := b.text(name, words[0])
	if !slices.Contains(words, value) {
		b.problem(name, "must be one of %s, is %q", strings.Join(words, ", "), value)
	}
	return value
}

// path takes an absolute path.
func (b *binder) path(name, fallback string) string {
	value := b.text(name, fallback)
	if value != "" && !strings.HasPrefix(value, "/") {
		b.problem(name, "must be an absolute path, is %q", value)
	}
	return value
}

// file takes the path of a file that can be read now: better than at the first connection.
func (b *binder) file(name string) string {
	value := b.path(name, "")
	if value != "" {
		f, err := os.Open(value)
		if err != nil {
			b.problem(name, "%v", err)
		}
		f.Close()
	}
	return value
}

// leftovers are variables of ours that nobody took: a misspelt name would otherwise go unnoticed.
func (b *binder) leftovers() {
	for _, name := range slices.Sorted(maps.Keys(b.environment)) {
		b.problem(name, "there is no such variable")
	}
}
