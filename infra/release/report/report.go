// Package report shows a release to a person: as one HTML page that needs nothing beside it, neither script nor network, and as a few
// lines for a terminal. Everything that it shows comes from the release.Report; what it computes are sums, ratios and pictures.
package report

import (
	"bytes"
	_ "embed" // the page's template and its style
	"fmt"
	"html/template"
	"io"

	"bookshelf/infra/release"
)

//go:embed page.html
var pageSource string

//go:embed style.css
var styleSource string

// Style is how a report looks, in light and in dark: the style sheet of every page that this repository writes.
func Style() template.CSS { return template.CSS(styleSource) }

// page escapes whatever it is given by the place where it goes; nothing in a report is trusted to be markup.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": Style, "count": count, "ms": milliseconds, "clock": clock, "moment": moment, "took": took, "figure": figure,
}).Parse(pageSource))

// HTML writes the page of a release. Nothing is written when it cannot be made.
func HTML(w io.Writer, r release.Report) error {
	var whole bytes.Buffer
	if err := page.Execute(&whole, newView(r)); err != nil {
		return fmt.Errorf("report of release %s: %w", r.ID, err)
	}
	if _, err := whole.WriteTo(w); err != nil {
		return fmt.Errorf("report of release %s: %w", r.ID, err)
	}
	return nil
}
