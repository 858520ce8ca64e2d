// Package idempotency is what a request that may be sent again, and must not take effect twice, is recognised by: the
// header Idempotency-Key of draft-ietf-httpapi-idempotency-key-header-07, and the response that is given again.
package idempotency

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Header is the header that holds the key.
const Header = "Idempotency-Key"

// MaxKeyLen is how many characters a key may have; a UUID has 36.
const MaxKeyLen = 255

// The ways in which a key can be refused. The request that it came with has had no effect.
var (
	ErrInFlight = errors.New("a request with this idempotency key is being worked on")
	ErrReused   = errors.New("the idempotency key belongs to a request with another body")
)

// Request identifies a request that may come again.
type Request struct {
	Scope       string            // whose key it is; keys of two callers are different keys
	Key         string            // from Parse
	Fingerprint [sha256.Size]byte // of the body: the same key with another one is a mistake of the client
	Retention   time.Duration     // from the response on, how long it is given again
}

// Response is what is answered again.
type Response struct {
	Status int
	Header http.Header // those that belong to the result; others are of each answer
	Body   []byte
}

// Fingerprint of a request's body.
func Fingerprint(body []byte) [sha256.Size]byte { return sha256.Sum256(body) }

// Parse reads the lines of the header. The draft wants one string of RFC 8941, section 3.3.3, such as "8e03978e", without
// parameters. Without its quotes, as many clients send it, it is the same key, if it holds nothing that would need them.
func Parse(lines []string) (string, error) {
	if len(lines) != 1 {
		return "", fmt.Errorf("must be given once, is given %d times", len(lines))
	}
	text := strings.Trim(lines[0], " ")
	key, ok := text, strings.IndexFunc(text, needsQuotes) < 0
	if strings.HasPrefix(text, `"`) {
		key, ok = unquote(text)
	}
	switch {
	case !ok:
		return "", errors.New(`must be a string in double quotes, such as "8e03978e-40d5-43e8-bc93-6894a57f9324"`)
	case key == "":
		return "", errors.New("must not be empty")
	case len(key) > MaxKeyLen:
		return "", fmt.Errorf("must not be longer than %d characters, has %d", MaxKeyLen, len(key))
	}
	return key, nil
}

// needsQuotes reports whether r cannot stand in a key without quotes.
func needsQuotes(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-._~:+/=", r)
	}
}

// unquote reads a string of RFC 8941: printable ASCII, in which a backslash stands before a quote or another backslash.
func unquote(text string) (string, bool) {
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return out.String(), i == len(text)-1
		case c == '\\':
			i++
			if i == len(text) || text[i] != '"' && text[i] != '\\' {
				return "", false
			}
			out.WriteByte(text[i])
		case c < ' ' || c > '~':
			return "", false
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}
