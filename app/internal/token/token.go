// Package token is what the service knows of API tokens: what one looks like, what it allows, and whether one that a
// client presents is good. docs/adr/0016-api-tokens.md tells why it is done like this.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scope is one thing that a token may allow.
type Scope string

// The scopes. Admin includes the other two.
const (
	BooksRead  Scope = "books:read"  // to read and list books
	BooksWrite Scope = "books:write" // to create, change and delete them
	Admin      Scope = "admin"       // everything, and to see who changed what
)

// Scopes returns every scope, in the order of the documentation.
func Scopes() []Scope { return []Scope{BooksRead, BooksWrite, Admin} }

// Prefix begins every token and the public form of every identifier, so that scanners of source code and people
// recognise one that has leaked.
const Prefix = "bks_"

const (
	idLen     = 12 // characters of base32: 60 bits, as many as a look-up key needs
	secretLen = 52 // characters of base32: 256 bits
)

// lowerBase32 is the alphabet of RFC 4648, section 6, in lower case: a double click selects a whole token, and no two
// of its characters look alike.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Hash is what is kept of a token: the SHA-256 of its whole text.
type Hash [sha256.Size]byte

// Generate returns a new token: its identifier, which is not secret, and its text, which is kept nowhere.
func Generate() (id, text string) {
	id = random(idLen)
	return id, Renew(id)
}

// Renew returns a new text for the token with the identifier.
func Renew(id string) string { return Prefix + id + "_" + random(secretLen) }

// random returns n characters of base32 from the system's source of randomness, which never fails.
func random(n int) string {
	raw := make([]byte, (n*5+7)/8)
	_, _ = rand.Read(raw)
	return lowerBase32.EncodeToString(raw)[:n]
}

// HashOf returns what is kept of a token.
func HashOf(text string) Hash { return sha256.Sum256([]byte(text)) }

// Parse returns the identifier in a token's text, or an error when the text cannot be one.
func Parse(text string) (id string, err error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok || len(rest) != idLen+1+secretLen || rest[idLen] != '_' {
		return "", errors.New("is not of the form " + Prefix + "ID_SECRET")
	}
	id = rest[:idLen]
	if !isBase32(id) || !isBase32(rest[idLen+1:]) {
		return "", errors.New("is not of the form " + Prefix + "ID_SECRET")
	}
	return id, nil
}

func isBase32(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// Token is a token without its secret.
type Token struct {
	ID            string // without Prefix
	Name          string
	Scopes        []Scope
	CreatedAt     time.Time
	ExpiresAt     *time.Time // nil: never
	RotatedAt     *time.Time // of the last rotation
	PreviousUntil *time.Time // how long the secret before that is good
	RevokedAt     *time.Time
	LastUsedAt    *time.Time // some seconds behind
}

// Allows reports whether the token has the scope.
func (t Token) Allows(s Scope) bool {
	return slices.Contains(t.Scopes, s) || slices.Contains(t.Scopes, Admin)
}

// State says in a word what became of the token: active, expired or revoked.
func (t Token) State(now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return "expired"
	default:
		return "active"
	}
}

// Record is a token with what its secrets are compared with.
type Record struct {
	Token

	Hash     Hash
	Previous *Hash // of the secret before the last rotation
}

// current and previous compare in constant time: how much of a hash is right must not show in how long the answer
// takes.
func (r Record) current(h Hash) bool { return subtle.ConstantTimeCompare(r.Hash[:], h[:]) == 1 }

func (r Record) previous(h Hash) bool {
	return r.Previous != nil && subtle.ConstantTimeCompare(r.Previous[:], h[:]) == 1
}

// Draft is what a new token is made from.
type Draft struct {
	Name      string
	Scopes    []Scope
	ExpiresAt *time.Time
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.@_-]{0,62}$`)

// Validate returns every mistake in d at once. now tells which expiry has passed already.
func (d Draft) Validate(now time.Time) error {
	var problems []error
	switch {
	case !nameForm.MatchString(d.Name):
		problems = append(problems, fmt.Errorf(
			"the name must be 1 to 63 letters, digits or .@_-, a letter or digit in front, is %q", d.Name))
	case strings.HasPrefix(d.Name, Prefix):
		problems = append(
			problems,
			fmt.Errorf("the name must not begin with %s, as identifiers do, is %q", Prefix, d.Name),
		)
	}
	if len(d.Scopes) == 0 {
		problems = append(problems, errors.New("at least one scope is needed"))
	}
	for i, s := range d.Scopes {
		if !slices.Contains(Scopes(), s) {
			problems = append(problems, fmt.Errorf("the scope %q does not exist; there are %s", s, joined(Scopes())))
		} else if slices.Contains(d.Scopes[:i], s) {
			problems = append(problems, fmt.Errorf("the scope %q is given twice", s))
		}
	}
	if d.ExpiresAt != nil && !d.ExpiresAt.After(now) {
		problems = append(
			problems,
			fmt.Errorf("the expiry must be in the future, is %s", d.ExpiresAt.UTC().Format(time.RFC3339)),
		)
	}
	return errors.Join(problems...)
}

func joined(scopes []Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// ErrUnknown says that there is no such token.
var ErrUnknown = errors.New("there is no such token")

// NameTakenError says that a token which is not revoked has the name already.
type NameTakenError struct {
	Name string
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("there is a token named %q already; rotate it, revoke it, or choose another name", e.Name)
}
