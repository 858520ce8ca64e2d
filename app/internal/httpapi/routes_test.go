package httpapi

import (
	"bufio"
	"fmt"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bookshelf/app/internal/httpapi/media"
)

func TestOnlyRoutesImportsTheRouter(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var importers []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			if name, _ := strconv.Unquote(spec.Path.Value); strings.HasPrefix(name, "github.com/gorilla/") {
				importers = append(importers, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "internal", "httpapi", "routes.go"); len(importers) != 1 || importers[0] != want {
		t.Errorf("gorilla packages are imported by %v, want only %s", importers, want)
	}
}

func TestEveryRouteAnswersUnderItsTemplate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range b.api.routes() {
		b.do(t, request{method: r.method, target: strings.ReplaceAll(r.template, "{id}", "1"), body: minimalBook})
		last := b.metrics.done[len(b.metrics.done)-1]
		if last.Route != r.template || last.Status == 405 {
			t.Errorf("%s %s was counted as %+v", r.method, r.template, last)
		}
	}
}

// Paths that a lenient server would repair by a redirect, which clients follow with a GET.
func TestUncleanPathsAreNotRepaired(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/", "//", "//api/v1/books", "/api//v1/books", "/api/v1/books/", "/api/v1/books//", "/api/v1//books/1",
		"/api/v1/books/1/", "/api/v1/x/../books", "/api/v1/books/..", "/./api/v1/books", "/api/v1/books/.",
		"/api%2Fv1/books", "/api/v1%2Fbooks", "/%2Fapi/v1/books", "/api/v1/books%2F", "/api/v1/books/1%2F2",
		"/api/v1/books/%2e%2e", "/API/v1/books", "/api/v1/books;x=1",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.add(t, "Emma")
				w := b.do(t, request{method: method, target: "http://host" + path, body: minimalBook})
				if w.Code != 404 && w.Code != 405 {
					t.Errorf("status = %d, want 404 or 405", w.Code)
				}
				if w.Header().Get("Location") != "" {
					t.Errorf("Location = %q, want none", w.Header().Get("Location"))
				}
				if got := w.Header().Get("Content-Type"); got != media.Problem {
					t.Errorf("Content-Type = %q, want %q", got, media.Problem)
				}
				if len(b.store.books) != 1 || b.store.books[0].Version != 1 {
					t.Error("the store was changed")
				}
			})
		}
	}
}

func TestOnlyCanonicalIDsNameBooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "Emma")
	for _, id := range []string{"0", "-1", "+1", "01", "1.0", "1e0", "%31", "x", "9223372036854775808", "１"} {
		if w := b.do(t, request{method: "GET", target: "/api/v1/books/" + id}); w.Code != 404 {
			t.Errorf("ID %s: status = %d, want 404", id, w.Code)
		}
	}
}

// What clients make up must not become label values.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(t, request{method: "GET", target: "/no/such/path"})
	b.do(t, request{method: "BREW", target: "/api/v1/books"})
	b.do(t, request{method: "get", target: "/api/v1/books/5"})
	want := []counted{{"unmatched", "GET", 404}, {"/api/v1/books", "_OTHER", 405}, {"/api/v1/books/{id}", "_OTHER", 405}}
	if got := fmt.Sprint(b.metrics.done); got != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if b.metrics.active != 0 {
		t.Errorf("%d requests are counted as active after the last", b.metrics.active)
	}
}

func TestOptionsOfTheWholeServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewUnstartedServer(b.api)
	server.Config.DisableGeneralOptionsHandler = true // as the real one
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Allow"); res.StatusCode != 204 || got != "DELETE, GET, HEAD, PATCH, POST, PUT, OPTIONS" {
		t.Errorf("status %d, Allow %q, want 204 and every method", res.StatusCode, got)
	}
	if res.Header.Get("X-Bookshelf-Version") != "v1.2.3" {
		t.Error("the version header is missing")
	}
}
