package config

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// binder reads variables one by one, remembers each, and gathers the problems instead of stopping at the first.
type binder struct {
	lookup    Lookup
	problems  []error
	variables []Variable
}

func (b *binder) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

// remember keeps what was read for the log and the documentation's test.
func (b *binder) remember(v Variable) {
	b.variables = append(b.variables, v)
}

// get returns the text of a variable, or the default. Set but empty is a mistake (usually a template with a hole in it)
// and is reported; ok is then false.
func (b *binder) get(name, fallback string) (text string, ok bool) {
	text, set := b.lookup(name)
	switch {
	case !set:
		return fallback, true
	case strings.TrimSpace(text) == "":
		b.problem("%s: is set but empty; unset it for its default or give a value", name)
		return "", false
	default:
		return text, true
	}
}

// required reads a text that has no default: no white space, no control characters, at most maxLen bytes.
func (b *binder) required(dst *string, name string, maxLen int) {
	text, ok := b.get(name, "")
	switch {
	case !ok:
	case text == "":
		b.problem("%s: is required", name)
	case len(text) > maxLen:
		b.problem("%s: must not be longer than %d bytes, has %d", name, maxLen, len(text))
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		b.problem("%s: must not contain white space or control characters, is %q", name, text)
	default:
		*dst = text
	}
	b.remember(Variable{Name: name, Required: true, Value: *dst})
}

// duration reads a Go duration. A number without a unit is refused: nobody can tell whether 5 means seconds.
func (b *binder) duration(dst *time.Duration, name string, fallback, lowest, highest time.Duration) {
	if text, ok := b.get(name, fallback.String()); ok {
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			b.problem("%s: must be a duration such as %q, is %q", name, fallback, text)
		case d < lowest || d > highest:
			b.problem("%s: must be from %v to %v, is %v", name, lowest, highest, d)
		default:
			*dst = d
		}
	}
	b.remember(Variable{Name: name, Default: fallback.String(), Value: dst.String()})
}

// integer reads a decimal number. It is a function because methods cannot have type parameters.
func integer[T int | int64](b *binder, dst *T, name string, fallback, lowest, highest T) {
	if text, ok := b.get(name, strconv.FormatInt(int64(fallback), 10)); ok {
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		switch {
		case err != nil:
			b.problem("%s: must be a whole number, is %q", name, text)
		case T(n) < lowest || T(n) > highest:
			b.problem("%s: must be from %d to %d, is %d", name, lowest, highest, n)
		default:
			*dst = T(n)
		}
	}
	b.remember(Variable{Name: name, Default: strconv.FormatInt(int64(fallback), 10), Value: strconv.FormatInt(int64(*dst), 10)})
}

// address reads what net.Listen takes: host:port with a numeric port; the host may be empty, for all interfaces.
func (b *binder) address(dst *string, name, fallback string) {
	if text, ok := b.get(name, fallback); ok {
		if _, _, err := net.SplitHostPort(text); err != nil || port(text) < 0 {
			b.problem("%s: must be host:port with a port from 0 to 65535, such as %q, is %q", name, fallback, text)
		} else {
			*dst = text
		}
	}
	b.remember(Variable{Name: name, Default: fallback, Value: *dst})
}

// port returns the numeric port of an address, or -1.
func port(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// oneOf reads one of a few words, exactly as they are written here.
func (b *binder) oneOf(dst *string, name, fallback string, allowed ...string) {
	if text, ok := b.get(name, fallback); ok {
		if slices.Contains(allowed, text) {
			*dst = text
		} else {
			b.problem("%s: must be one of %s, is %q", name, strings.Join(allowed, ", "), text)
		}
	}
	b.remember(Variable{Name: name, Default: fallback, Value: *dst})
}

// boolean reads a switch. strconv.ParseBool would also take "T" and "0", which say less than they save.
func (b *binder) boolean(dst *bool, name string, fallback bool) {
	var text string
	b.oneOf(&text, name, strconv.FormatBool(fallback), "true", "false")
	*dst = text == "true"
}

// level reads a log level. slog would also take "INFO+2"; the four names are enough, and documented.
func (b *binder) level(dst *slog.Level) {
	var name string
	b.oneOf(&name, "LOG_LEVEL", "info", "debug", "info", "warn", "error")
	if name != "" {
		// Cannot fail: the four names are slog's own.
		_ = dst.UnmarshalText([]byte(name))
	}
}

// secret reads NAME or NAME_FILE, never both. The file is only checked here: whoever uses it reads it again each time, so
// that a rotated secret is picked up without a restart. Neither is fine; PostgreSQL may trust the socket's owner.
func (b *binder) secret(text *Secret, file *string, name string) {
	fileName := name + "_FILE"
	plain, plainSet := b.lookup(name)
	path, fileSet := b.lookup(fileName)
	plain = trimNewline(plain)
	switch {
	case plainSet && fileSet:
		b.problem("%s: must not be set together with %s", name, fileName)
	case plainSet && plain == "":
		b.problem("%s: is set but empty", name)
	case fileSet && path == "":
		b.problem("%s: is set but empty", fileName)
	case fileSet:
		if err := checkSecretFile(path); err != nil {
			b.problem("%s: %w", fileName, err)
		}
		*file = path
	case plainSet:
		*text = NewSecret(plain)
	}
	b.remember(Variable{Name: name, Value: text.String()})
	b.remember(Variable{Name: fileName, Value: *file})
}

// checkSecretFile finds at the start what would otherwise be found by the first connection, long after the deployment was
// called a success.
func checkSecretFile(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if trimNewline(string(content)) == "" {
		return fmt.Errorf("file %s is empty", path)
	}
	return nil
}

// trimNewline removes the line ends that editors and echo put after a secret. Other white space may belong to it.
func trimNewline(s string) string { return strings.TrimRight(s, "\r\n") }
