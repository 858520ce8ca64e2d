// Package description serves the description of the API, and the page that shows it.
package description

import (
	"bytes"
	"compress/gzip"
	_ "embed" // of what is served as it is
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"

	"bookshelf/app/internal/httpapi/etag"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/httpapi/query"
)

// The description of the API, for machines, and the page that shows it to people. The viewer is Swagger UI as its
// module embeds it; the page and what starts the viewer are ours, since that module's own page has its script in line.
var (
	//go:embed openapi.yaml
	document []byte
	//go:embed docs/index.html
	docsPage []byte
	//go:embed docs/start.js
	docsStart []byte
)

// docsPolicy is all that the page needs, in place of the policy of other answers. The viewer draws some of its icons
// from data URLs. Requests of whoever tries an operation go to this server.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is something that stays the same while the process runs.
type file struct {
	contentType string
	body        []byte
	compressed  bool // with gzip
	tag         etag.Tag
}

func newFile(contentType string, body []byte) file {
	// The tag is weak, so it holds for both codings of a file that is compressed.
	return file{contentType: contentType, body: body, tag: etag.OfContent(body)}
}

// viewerFile is a file of the viewer's module. It panics when there is none: which there are is known when this is
// built.
func viewerFile(contentType, name string) file {
	body, err := static.FS.ReadFile(name)
	if err != nil {
		panic(err)
	}
	f := newFile(contentType, body)
	f.compressed = strings.HasSuffix(name, ".gz")
	return f
}

// docsFiles are the page, whose name is "", and what it consists of.
func docsFiles() map[string]file {
	return map[string]file{
		"":                     newFile("text/html; charset=utf-8", docsPage),
		"start.js":             newFile("text/javascript; charset=utf-8", docsStart),
		"swagger-ui-bundle.js": viewerFile("text/javascript; charset=utf-8", "swagger-ui-bundle.js.gz"),
		"swagger-ui.css":       viewerFile("text/css; charset=utf-8", "swagger-ui.css.gz"),
		"favicon-32x32.png":    viewerFile("image/png", "favicon-32x32.png"),
	}
}

// Serve answers 200 with the description of the API, or 304, 400.
func Serve() http.Handler {
	description := newFile("application/yaml", document) // RFC 9512
	return exchange.Handle(description.serve)
}

// ServePage answers 200 with the page, or with the part of it that the path value "file" names, or 304, 400, 404.
func ServePage() http.Handler {
	files := docsFiles()
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		f, ok := files[r.PathValue("file")]
		if !ok {
			return problem.ErrNoSuchResource
		}
		w.Header().Set("Content-Security-Policy", docsPolicy)
		return f.serve(w, r)
	})
}

// serve sends the file, unless the client has it.
func (f file) serve(w http.ResponseWriter, r *http.Request) error {
	if err := query.Refuse(r.URL.RawQuery); err != nil {
		return err
	}
	known, err := etag.Known(r.Header, f.tag)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", f.tag.String())
	h.Set("Cache-Control", etag.Revalidate)
	if f.compressed {
		h.Add("Vary", "Accept-Encoding")
	}
	switch {
	case known:
		w.WriteHeader(http.StatusNotModified)
	case f.compressed && !acceptsGzip(r.Header):
		return f.expand(w)
	default:
		if f.compressed {
			h.Set("Content-Encoding", "gzip")
		}
		exchange.Send(w, http.StatusOK, f.contentType, f.body)
	}
	return nil
}

// expand sends a compressed file without its coding. It holds a piece at a time: the whole, many times over, is memory
// that whoever asks often could make us run out of.
func (f file) expand(w http.ResponseWriter) error {
	plain, err := gzip.NewReader(bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", f.contentType)
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, plain) // an error is the client's: the file was built in whole
	return nil
}

// acceptsGzip reports whether a client says so (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	for element := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		if coding, params, err := mime.ParseMediaType(element); err == nil && coding == "gzip" {
			return media.Quality(params["q"]) > 0
		}
	}
	return false
}
