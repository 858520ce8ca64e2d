package httpapi

import (
	"strings"
	"testing"
)

func TestFollowingTheCursorReadsEveryBookOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, "A", "B", "C", "D", "E")
	var ids []string
	target := "/api/v1/books?limit=2&sort=id"
	for range 5 {
		w := b.do(t, request{method: "GET", target: target})
		body := w.Body.String()
		for _, part := range strings.Split(body, `"id":`)[1:] {
			ids = append(ids, part[:1])
		}
		link := w.Header().Get("Link")
		if strings.Contains(body, `"next_cursor":null`) != (link == "") {
			t.Errorf("Link is %q, but the body is %s", link, body)
		}
		if link == "" {
			break
		}
		next, found := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !found {
			t.Fatalf("Link = %q", link)
		}
		target = next
	}
	if got := strings.Join(ids, ""); got != "12345" {
		t.Errorf("read %s, want each of 12345 once, in order", got)
	}
}
