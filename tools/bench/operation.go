package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"bookshelf/tools/internal/load"
)

// operation is one thing that is measured: as a request, and as the SQL that the service sends for it.
type operation struct {
	load.Operation

	target float64 // the ratio that is aimed at; 0 for none
	ofPG   bool    // the target is one to PostgreSQL alone
	// cached is answered from the read cache, so that its limit is net/http alone.
	cached bool
	sql    string // a script for pgbench; $books is the number of books; "" when cached
}

// columns are those of app/internal/postgres/bookrow.
const columns = `id, title, authors, isbn13, published_year, language, description, version, created_at, updated_at`

// query is what a search for one of the words becomes.
const query = `websearch_to_tsquery('pg_catalog.simple', lower(('word' || :n) COLLATE "und-x-icu"))`

// setActor and the statement behind it travel together, in one transaction, as the service has it. pgbench takes a colon
// for the beginning of a variable, also in quotes.
const setActor = `\startpipeline
SELECT set_config('bookshelf.actor', 'bench', true), set_config('bookshelf.token_id', 'bks_benchbenchbe', true);
`

// operations are those of the load, with what PostgreSQL has to do for each.
func operations() []operation {
	limits := map[string]operation{
		"get": {target: 1, sql: `\set id random(1, :books)
SELECT ` + columns + ` FROM books WHERE id = :id;
`},
		"list": {target: 0.6, sql: `\set limit 51
SELECT ` + columns + `, 0::real AS rank FROM books ORDER BY id ASC LIMIT :limit;
`},
		"search": {sql: `\set n random(0, 1999)
\set limit 51
SELECT ` + columns + `, ts_rank(search, ` + query + `) AS rank FROM books WHERE search @@ ` + query + `
ORDER BY rank DESC, id LIMIT :limit;
`},
		"create": {target: 0.85, ofPG: true, sql: `\set n random(1, 1000000)
` + setActor + `INSERT INTO books (title, authors, isbn13, published_year, language, description)
VALUES ('Volume ' || :n, '{"Some Body","Another One"}', nullif('', ''), 1984, nullif('en', ''), '` + load.Description + `')
RETURNING ` + columns + `;
\endpipeline
`},
		"update": {sql: `\set n random(1, 1000000)
\set id random(1, :books)
` + setActor + `UPDATE books
SET title = 'Volume ' || :n, authors = '{"Some Body","Another One"}', isbn13 = nullif('', ''), published_year = 1984,
    language = nullif('en', ''), description = '` + load.Description + `', version = version + 1, updated_at = now()
WHERE id = :id AND (NULL::bigint[] IS NULL OR version = ANY (NULL::bigint[]))
    AND version <> ALL (coalesce(NULL::bigint[], '{}')) RETURNING ` + columns + `;
\endpipeline
`},
	}
	all := make([]operation, 0, len(limits))
	for _, op := range load.Operations() {
		one := limits[op.Name]
		one.Operation = op
		all = append(all, one)
	}
	for _, op := range load.Operations() {
		if op.Name == "get" {
			op.Name = "get-cached"
			all = append(all, operation{Operation: op, target: 0.8, cached: true})
		}
	}
	return all
}

// spec is what the load generator is told for the operation.
func (op operation) spec(common load.Spec) load.Spec {
	common.Operation = op.Name
	if op.cached {
		common.Operation, common.Books = "get", hotBooks
	}
	return common
}

// sample is an answer of the service.
type sample struct {
	Status int
	Header http.Header
	Body   []byte
}

// fetchSample asks the service once.
func fetchSample(spec load.Spec, op operation) (sample, error) {
	random := rand.New(rand.NewPCG(1, 2))
	var body io.Reader = http.NoBody
	if op.Body != nil {
		body = strings.NewReader(op.Body(random))
	}
	request, err := http.NewRequest(op.Method, "http://"+spec.Addr+op.Path(&spec, random), body)
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
	if response.StatusCode != op.Status {
		return sample{}, fmt.Errorf("%s answered %d instead of %d: %s", op.Name, response.StatusCode, op.Status, content)
	}
	// net/http writes these two itself.
	response.Header.Del("Date")
	response.Header.Del("Content-Length")
	return sample{Status: response.StatusCode, Header: response.Header, Body: content}, nil
}
