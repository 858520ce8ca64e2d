package environment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Service is what delivery has to know of the service beyond docs/contract.md: the one place where another service's team writes its
// own. The key `service` of a stack replaces it as a whole.
type Service struct {
	// VersionHeader is the header of every answer that names the version which gave it.
	VersionHeader string `json:"version_header"`
	// Environment is added to that of the contract.
	Environment map[string]string `json:"environment"`
	// LoginFile says that the service takes DB_LOGIN_FILE, so that its login can change while it runs. One that does not is given a user
	// that stays the same, and its password.
	LoginFile bool `json:"login_file"`
	// Smoke are paths that each new replica must answer with 200 before it is given traffic, /readyz aside.
	Smoke []string `json:"smoke"`
	// Credential says how the service itself makes what it wants to see from the probe, nil where it wants nothing.
	Credential *Credential `json:"credential"`
	// Probe says what a release sends through the edge and what it expects, see package probe. Once it was read it names a header: the
	// service's VersionHeader, unless it names one itself.
	Probe json.RawMessage `json:"probe"`
	// Written is a query that returns the keys of the writes of one run of the probe, a row each, and Removal a statement that removes
	// them; {{run}} stands for the run. Both empty: the writes are not looked for, and stay.
	Written string `json:"written"`
	Removal string `json:"removal"`
}

// Credential are commands of the service, run in a replica that serves; {{run}} stands for the run of the probe. What Issue prints is sent
// as a bearer token with every request of that run; it should expire by itself within a day. Revoke ends it.
type Credential struct {
	Issue  []string `json:"issue"`
	Revoke []string `json:"revoke"`
}

// bookService is this repository's own. What the probe has written goes without a trace, its part of the books' history included: no
// trigger sees the removal. The trusted proxies are whatever is on a network of the engine's: nothing but the edge reaches the service, and
// it says who asked.
const bookService = `{
  "version_header": "X-Bookshelf-Version",
  "environment": {"AUTH": "required", "TRUSTED_PROXIES": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16", "HTTP_REQUEST_TIMEOUT": "12s"},
  "login_file": true,
  "smoke": ["/version"],
  "credential": {
    "issue": ["token", "create", "--scopes", "books:read,books:write", "--expires", "24h", "release-{{run}}"],
    "revoke": ["token", "revoke", "release-{{run}}"]
  },
  "probe": {
    "rate": 150,
    "shares": {"read": 0.75, "write": 0.2, "slow": 0.05},
    "fresh": 0.2,
    "timeout": "15s",
    "slow_for": "5s",
    "read": [
      {"path": "/api/v1/books?limit=5", "status": [200]},
      {"path": "/api/v1/books?limit=5&author=austen", "status": [200]},
      {"path": "/api/v1/books/999999999999", "status": [404]}
    ],
    "write": {
      "method": "POST", "path": "/api/v1/books", "content_type": "application/json", "status": [201],
      "body": "{\"title\": \"delivery probe {{run}}\", \"authors\": [\"delivery probe\"], \"isbn13\": \"{{ean13}}\"}"
    }
  },
  "written": "SELECT isbn13 FROM books WHERE title = 'delivery probe {{run}}'",
  "removal": "SET session_replication_role = replica; WITH gone AS (DELETE FROM books WHERE title LIKE 'delivery probe %' RETURNING id) DELETE FROM book_events USING gone WHERE book_id = gone.id"
}`

// parseService reads a service. An empty text is this repository's own.
func parseService(text string) (Service, error) {
	if text == "" {
		text = bookService
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var s Service
	if err := decoder.Decode(&s); err != nil {
		return Service{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Service{}, errors.New("there is more than one object")
	}
	switch {
	case s.VersionHeader == "":
		return Service{}, errors.New("version_header is missing")
	case len(s.Probe) == 0:
		return Service{}, errors.New("probe is missing")
	case s.Credential != nil && (len(s.Credential.Issue) == 0 || len(s.Credential.Revoke) == 0):
		return Service{}, errors.New("credential: issue and revoke are both needed")
	case (s.Written == "") != (s.Removal == ""):
		return Service{}, errors.New("written and removal go together")
	}
	var err error
	s.Probe, err = withHeader(s.Probe, s.VersionHeader)
	return s, err
}

// withHeader adds the version header to a probe that names none.
func withHeader(probe json.RawMessage, header string) (json.RawMessage, error) {
	const member = "version_header"
	var members map[string]json.RawMessage
	if err := json.Unmarshal(probe, &members); err != nil || members == nil {
		return nil, errors.New("probe: want an object")
	}
	if _, named := members[member]; named {
		return probe, nil
	}
	name, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	members[member] = name
	return json.Marshal(members)
}

// Duration is a time.Duration that is written as text in JSON: "2s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as 2s: %w", err)
	}
	*d = Duration(parsed)
	return nil
}
