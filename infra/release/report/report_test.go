package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/release"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the tests got")

func html(t *testing.T, r release.Report) string {
	t.Helper()
	var page bytes.Buffer
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func text(t *testing.T, r release.Report) string {
	t.Helper()
	var lines bytes.Buffer
	if err := Text(&lines, r); err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

func TestReportsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"released", "rolled-back", "refused", "stuck"} {
		sample := samples()[name]
		for file, got := range map[string]string{name + ".html": html(t, sample), name + ".txt": text(t, sample)} {
			path := filepath.Join("testdata", file)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites it)\n%.4000s", path, diff)
			}
		}
	}
}

func TestAReportReadFromItsJSONIsTheSame(t *testing.T) {
	t.Parallel()
	sample := rolledBack()
	kept, err := json.Marshal(sample)
	if err != nil {
		t.Fatal(err)
	}
	var again release.Report
	if err := json.Unmarshal(kept, &again); err != nil {
		t.Fatal(err)
	}
	if html(t, again) != html(t, sample) || text(t, again) != text(t, sample) {
		t.Error("the page of a report that was kept differs")
	}
}

// fill sets every string of a report, at any depth, and makes sure that there is one of everything.
func fill(v reflect.Value, with string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(with)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for _, field := range v.Fields() {
			fill(field, with)
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), with)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i), with)
		}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		for _, key := range v.MapKeys() {
			value.Set(v.MapIndex(key))
		}
		fill(value, with)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(with), value)
	}
}

func TestNothingInAReportIsTakenForMarkup(t *testing.T) {
	t.Parallel()
	for _, attack := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title></style><svg onload=alert(1)>`, `javascript:alert(1)`, `{{.ID}}`, `<!--`,
	} {
		hostile := rolledBack()
		fill(reflect.ValueOf(&hostile).Elem(), attack)
		page := html(t, hostile)
		harmless := rolledBack()
		fill(reflect.ValueOf(&harmless).Elem(), strings.Repeat("x", len(attack))) // as long: labels that don't fit are left out
		if got, want := tags(page), tags(html(t, harmless)); got != want {
			t.Errorf("%s changes the markup: %s", attack, cmp.Diff(want, got))
		}
		if strings.Contains(attack, "<") && strings.Contains(page, attack) {
			t.Errorf("%s is in the page as it is", attack)
		}
	}
}

var (
	tagPattern       = regexp.MustCompile(`<[^>]*>`)
	attributePattern = regexp.MustCompile(`(\s[a-z-]+)="[^"]*"`)
)

// tags is a page without its text and without the values of attributes.
func tags(page string) string {
	return strings.Join(tagPattern.FindAllString(attributePattern.ReplaceAllString(page, "$1"), -1), "\n")
}

func TestAPageNeedsNothingBesideIt(t *testing.T) {
	t.Parallel()
	outside := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|\shref=|\ssrc=`)
	for name, sample := range samples() {
		page := html(t, sample)
		if found := outside.FindString(page); found != "" {
			t.Errorf("%s has %q", name, found)
		}
		if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
			t.Errorf("%s does not forbid what it does not need", name)
		}
		if strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("%s has something that could not be written", name)
		}
	}
}

func TestAnHourFitsOnAPage(t *testing.T) {
	t.Parallel()
	page := html(t, long())
	if len(page) > 1<<20 {
		t.Errorf("an hour takes %d bytes, more than 1 MiB", len(page))
	}
	for _, want := range []string{"16 seconds to a point", "199 earlier ones are left out", "300 pass", `class="area blue"`, `class="area green"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}

func TestAnAccountThatDoesNotAddUpSaysSo(t *testing.T) {
	t.Parallel()
	for _, shown := range []string{html(t, stuck()), text(t, stuck())} {
		if !strings.Contains(strings.ToLower(shown), "does not add up: 1 are unaccounted for") {
			t.Error("a request that is in no part of the account is passed over")
		}
	}
	if strings.Contains(html(t, released()), "does not add up") {
		t.Error("an account that adds up is doubted")
	}
}

func TestATerminalIsSafeFromWhatIsPrinted(t *testing.T) {
	t.Parallel()
	hostile := rolledBack()
	fill(reflect.ValueOf(&hostile).Elem(), "a\x1b[2Jb\rc\u202ed\te\nf")
	got := text(t, hostile)
	if strings.ContainsAny(got, "\x1b\r\t\u202e") {
		t.Errorf("control characters are printed: %q", got)
	}
	harmless := rolledBack()
	fill(reflect.ValueOf(&harmless).Elem(), "harmless")
	if g, w := strings.Count(got, "\n"), strings.Count(text(t, harmless), "\n"); g != w {
		t.Errorf("%d lines, want %d: text must not make lines of its own", g, w)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestAPageThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"HTML": HTML(broken{}, released()), "Text": Text(broken{}, released())} {
		if err == nil || !strings.Contains(err.Error(), "report of release 20261125-031210: disk is full") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFiguresAreWrittenForPeople(t *testing.T) {
	t.Parallel()
	second := time.Second
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(1234567): "1,234,567", count(-1000): "−1,000",
		milliseconds(0): "0.0 ms", milliseconds(2.44): "2.4 ms", milliseconds(340.2): "340 ms", milliseconds(1540): "1.5 s", milliseconds(12_400): "12 s",
		took(night, night.Add(400*time.Millisecond)): "0.4 s", took(night, night.Add(59*second)): "59 s",
		took(night, night.Add(165*second)): "2 min 45 s", took(night, night.Add(3780*second)): "1 h 3 min", took(night, time.Time{}): "–",
		figure(0.0041): "0.0041", figure(12345): "12,345", figure(1.0 / 3): "0.333", fmt.Sprint(px(12.3456)): "12.3", fmt.Sprint(px(-0.04)): "0",
	} {
		if got != want && got != "-"+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
