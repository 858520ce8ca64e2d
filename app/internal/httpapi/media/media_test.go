package media

import (
	"errors"
	"net/http"
	"testing"

	"bookshelf/app/internal/httpapi/problem"
)

func TestContentType(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		header http.Header
		ok     bool
	}{
		"JSON":                      {http.Header{"Content-Type": {"application/json"}}, true},
		"JSON in another case":      {http.Header{"Content-Type": {"Application/JSON"}}, true},
		"JSON in UTF-8":             {http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, true},
		"identity":                  {http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, true},
		"none":                      {http.Header{}, false},
		"two":                       {http.Header{"Content-Type": {"application/json", "application/json"}}, false},
		"another":                   {http.Header{"Content-Type": {"text/plain"}}, false},
		"a suffix":                  {http.Header{"Content-Type": {"application/merge-patch+json"}}, false},
		"not a media type":          {http.Header{"Content-Type": {"application/json; charset"}}, false},
		"JSON in another encoding":  {http.Header{"Content-Type": {"application/json; charset=latin1"}}, false},
		"JSON with another profile": {http.Header{"Content-Type": {"application/json; profile=x"}}, false},
		"compressed":                {http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := RequireJSON(test.header, JSON)
			if e, ok := errors.AsType[*problem.Error](err); err == nil != test.ok || ok && e.Kind != problem.UnsupportedMediaType {
				t.Errorf("error = %v, want none: %t", err, test.ok)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"":                                  true,
		"*/*":                               true,
		"application/*":                     true,
		"application/json":                  true,
		"Application/JSON; charset=utf-8":   true,
		"text/html, application/json;q=0.1": true,
		"text/html, */*;q=0.1":              true,
		"application/json;q=0, text/html;q=0.5, */*;q=0": false,
		"application/json;q=0, */*":                      false,
		"application/*;q=0, */*":                         false,
		"*/*;q=0":                                        false,
		"application/json;q=0.0":                         false,
		"application/*;q=0, application/json":            true,
		"text/html":                                      false,
		"application/problem+json":                       false,
		"application/jsonp":                              false,
		";;;, */*":                                       true,
	}
	for accept, want := range tests {
		if got := Acceptance([]string{accept}, JSON) > 0; got != want {
			t.Errorf("Accept %q: acceptable = %t, want %t", accept, got, want)
		}
	}
}
