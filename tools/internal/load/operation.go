package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Operation is something that clients of the book catalogue do (docs/api.md).
type Operation struct {
	Name   string
	Method string
	Status int // of the answer
	// Path is asked for, with its query. Body is the request's, nil for none.
	Path func(spec *Spec, r *rand.Rand) string
	Body func(r *rand.Rand) string
}

// Description is that of every book. It holds no colon, quote or letter that a script of pgbench would have to escape.
const Description = "A tale of two sisters, a borrowed map and the winter in which the lighthouse had no keeper but the youngest of them."

// perWord is how many books a search finds.
const perWord = 50

// Words is how many different words the titles of so many books have: word0, word1, …
func Words(books int) int { return max(1, books/perWord) }

// Operations are those that are measured.
func Operations() []Operation {
	onBook := func(spec *Spec, r *rand.Rand) string {
		return "/api/v1/books/" + strconv.Itoa(1+r.IntN(spec.Books))
	}
	draft := func(r *rand.Rand) string { return book(fmt.Sprintf("Volume %d", r.IntN(1_000_000))) }
	return []Operation{
		{Name: "get", Method: "GET", Status: 200, Path: onBook},
		{Name: "list", Method: "GET", Status: 200, Path: func(*Spec, *rand.Rand) string { return "/api/v1/books?limit=50" }},
		{Name: "search", Method: "GET", Status: 200, Path: func(spec *Spec, r *rand.Rand) string {
			return "/api/v1/books?q=word" + strconv.Itoa(r.IntN(Words(spec.Books))) + "&sort=relevance&limit=50"
		}},
		{Name: "create", Method: "POST", Status: 201, Path: collection, Body: draft},
		{Name: "update", Method: "PUT", Status: 200, Path: onBook, Body: draft},
	}
}

func collection(*Spec, *rand.Rand) string { return "/api/v1/books" }

func book(title string) string {
	return fmt.Sprintf(`{"title":%q,"authors":["Some Body","Another One"],"published_year":1984,"language":"en","description":%q}`,
		title, Description)
}

// filling stores a book whose title has one of the words that are searched for.
func filling(books int) Operation {
	return Operation{Name: "fill", Method: "POST", Status: 201, Path: collection, Body: func(r *rand.Rand) string {
		return book(fmt.Sprintf("Volume %d of word%d", r.IntN(1_000_000), r.IntN(Words(books))))
	}}
}

// Find returns the operation of that name.
func Find(name string) (Operation, error) {
	var names []string
	for _, op := range Operations() {
		if op.Name == name {
			return op, nil
		}
		names = append(names, op.Name)
	}
	return Operation{}, fmt.Errorf("there is no operation %q, but %s", name, strings.Join(names, ", "))
}

// request appends the request to buffer as it goes over the wire.
func (op Operation) request(buffer []byte, spec *Spec, r *rand.Rand) []byte {
	buffer = append(buffer, op.Method...)
	buffer = append(buffer, ' ')
	buffer = append(buffer, op.Path(spec, r)...)
	buffer = append(buffer, " HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAuthorization: Bearer "...)
	buffer = append(buffer, spec.Token...)
	if op.Body == nil {
		return append(buffer, "\r\n\r\n"...)
	}
	body := op.Body(r)
	buffer = append(buffer, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	buffer = strconv.AppendInt(buffer, int64(len(body)), 10)
	buffer = append(buffer, "\r\n\r\n"...)
	return append(buffer, body...)
}
