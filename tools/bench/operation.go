package main

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// operation is one thing that is measured: as a request, and as the SQL that the service sends for it.
type operation struct {
	name   string
	target float64 // the ratio that is aimed at; 0 for none
	ofPG   bool    // the target is one to PostgreSQL alone
	cached bool    // the service answers from its read cache, so its limit is net/http alone
	status int     // of the answer

	method string
	path   func(spec *loadSpec, r *rand.Rand) string
	body   func(r *rand.Rand) string // nil for none

	sql string // a script for pgbench; $books is the number of books; "" when cached
}

// columns and selectBook are those of app/internal/postgres.
const columns = `id, title, authors, isbn13, published_year, language, description, version, created_at, updated_at`

// query is what a search for one of the words becomes.
const query = `websearch_to_tsquery('pg_catalog.simple', lower(('word' || :n) COLLATE "und-x-icu"))`

// words is how many different words the titles have; each search finds about as many books as there are for one.
const words = 2000

// setActor and the statement behind it travel together, in one transaction, as the service has it. pgbench takes a colon
// for the beginning of a variable, also in quotes.
const setActor = `\startpipeline
SELECT set_config('bookshelf.actor', 'bench', true), set_config('bookshelf.token_id', 'bks_benchbenchbe', true);
`

const description = "A tale of two sisters, a borrowed map and the winter in which the lighthouse had no keeper but the youngest of them."

func operations() []operation {
	onBook := func(spec *loadSpec, r *rand.Rand) string {
		return "/api/v1/books/" + strconv.Itoa(1+r.IntN(spec.Books))
	}
	onHotBook := func(_ *loadSpec, r *rand.Rand) string { return "/api/v1/books/" + strconv.Itoa(1+r.IntN(hotBooks)) }
	draft := func(r *rand.Rand) string {
		return fmt.Sprintf(`{"title":"Volume %d","authors":["Some Body","Another One"],"published_year":1984,`+
			`"language":"en","description":%q}`, r.IntN(1_000_000), description)
	}
	return []operation{
		{
			name: "get", target: 1, status: 200, method: "GET", path: onBook,
			sql: `\set id random(1, :books)
SELECT ` + columns + ` FROM books WHERE id = :id;
`,
		},
		{name: "get-cached", target: 0.8, cached: true, status: 200, method: "GET", path: onHotBook},
		{
			name: "list", target: 0.6, status: 200, method: "GET",
			path: func(*loadSpec, *rand.Rand) string { return "/api/v1/books?limit=50" },
			sql: `\set limit 51
SELECT ` + columns + `, 0::real AS rank FROM books ORDER BY id ASC LIMIT :limit;
`,
		},
		{
			name: "search", status: 200, method: "GET",
			path: func(_ *loadSpec, r *rand.Rand) string {
				return "/api/v1/books?q=word" + strconv.Itoa(r.IntN(words)) + "&sort=relevance&limit=50"
			},
			sql: `\set n random(0, 1999)
\set limit 51
SELECT ` + columns + `, ts_rank(search, ` + query + `) AS rank FROM books WHERE search @@ ` + query + `
ORDER BY rank DESC, id LIMIT :limit;
`,
		},
		{
			name: "create", target: 0.85, ofPG: true, status: 201, method: "POST",
			path: func(*loadSpec, *rand.Rand) string { return "/api/v1/books" }, body: draft,
			sql: `\set n random(1, 1000000)
` + setActor + `INSERT INTO books (title, authors, isbn13, published_year, language, description)
VALUES ('Volume ' || :n, '{"Some Body","Another One"}', nullif('', ''), 1984, nullif('en', ''), '` + description + `')
RETURNING ` + columns + `;
\endpipeline
`,
		},
		{
			name: "update", status: 200, method: "PUT", path: onBook, body: draft,
			sql: `\set n random(1, 1000000)
\set id random(1, :books)
` + setActor + `UPDATE books
SET title = 'Volume ' || :n, authors = '{"Some Body","Another One"}', isbn13 = nullif('', ''), published_year = 1984,
    language = nullif('en', ''), description = '` + description + `', version = version + 1, updated_at = now()
WHERE id = :id AND (NULL::bigint[] IS NULL OR version = ANY (NULL::bigint[]))
    AND version <> ALL (coalesce(NULL::bigint[], '{}')) RETURNING ` + columns + `;
\endpipeline
`,
		},
	}
}

func findOperation(name string) (operation, error) {
	for _, op := range operations() {
		if op.name == name {
			return op, nil
		}
	}
	return operation{}, fmt.Errorf("there is no operation %q", name)
}

// request appends the request to buffer as it goes over the wire.
func (op operation) request(buffer []byte, spec *loadSpec, r *rand.Rand) []byte {
	buffer = append(buffer, op.method...)
	buffer = append(buffer, ' ')
	buffer = append(buffer, op.path(spec, r)...)
	buffer = append(buffer, " HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAuthorization: Bearer "...)
	buffer = append(buffer, spec.Token...)
	if op.body == nil {
		return append(buffer, "\r\n\r\n"...)
	}
	body := op.body(r)
	buffer = append(buffer, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	buffer = strconv.AppendInt(buffer, int64(len(body)), 10)
	buffer = append(buffer, "\r\n\r\n"...)
	return append(buffer, body...)
}

// sample is an answer of the service.
type sample struct {
	Status int
	Header http.Header
	Body   []byte
}

// fetchSample asks the service once.
func fetchSample(spec loadSpec, op operation) (sample, error) {
	random := rand.New(rand.NewPCG(1, 2))
	var body io.Reader = http.NoBody
	if op.body != nil {
		body = strings.NewReader(op.body(random))
	}
	request, err := http.NewRequest(op.method, "http://"+spec.Addr+op.path(&spec, random), body)
	if err != nil {
		return sample{}, err
	}
	request.Header.Set("Authorization", "Bearer "+spec.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return sample{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return sample{}, err
	}
	if response.StatusCode != op.status {
		return sample{}, fmt.Errorf("%s answered %d instead of %d: %s", op.name, response.StatusCode, op.status, content)
	}
	// net/http writes these two itself.
	response.Header.Del("Date")
	response.Header.Del("Content-Length")
	return sample{Status: response.StatusCode, Header: response.Header, Body: content}, nil
}

// serveBare ends with the process.
func serveBare(listener net.Listener, answer sample) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		header := w.Header()
		maps.Copy(header, answer.Header)
		header["Content-Length"] = []string{strconv.Itoa(len(answer.Body))}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body)
	})}
	_ = server.Serve(listener)
}
