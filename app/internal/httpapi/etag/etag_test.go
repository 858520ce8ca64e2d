package etag

import (
	"fmt"
	"net/http"
	"testing"
)

func TestEntityTagsAreReadAsTheRFCWritesThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines []string
		want  string // "error", or what was understood
	}{
		"one tag":                       {[]string{`"1"`}, `["1"]`},
		"a weak tag":                    {[]string{`W/"1"`}, `[W/"1"]`},
		"a list":                        {[]string{`"1", W/"2" ,"3"`}, `["1" W/"2" "3"]`},
		"a list in two lines":           {[]string{`"1"`, `"2"`}, `["1" "2"]`},
		"a comma within a tag":          {[]string{`"a,b"`}, `["a,b"]`},
		"an empty tag":                  {[]string{`""`}, `[""]`},
		"a backslash is no escape":      {[]string{`"\"`}, `["\"]`},
		"bytes beyond ASCII":            {[]string{"\"\xff\""}, "[\"\xff\"]"},
		"empty elements":                {[]string{`, "1",, "2",`}, `["1" "2"]`},
		"the star":                      {[]string{" * "}, "*"},
		"the star beside a tag":         {[]string{`*, "1"`}, "error"},
		"nothing":                       {[]string{""}, "error"},
		"only commas":                   {[]string{" , ,"}, "error"},
		"no quotes":                     {[]string{"1"}, "error"},
		"single quotes":                 {[]string{"'1'"}, "error"},
		"a quote that never closes":     {[]string{`"1`}, "error"},
		"no comma between two":          {[]string{`"1" "2"`}, "error"},
		"the weak mark in another case": {[]string{`w/"1"`}, "error"},
		"white space within a tag":      {[]string{`"a b"`}, "error"},
		"a control character":           {[]string{"\"\x7f\""}, "error"},
		"white space behind the mark":   {[]string{`W/ "1"`}, "error"},
	} {
		list, err := readTags(http.Header{"If-Match": test.lines}, "If-Match")
		got := "error"
		if err == nil {
			got = fmt.Sprint(list.tags)
			if list.any {
				got = "*"
			}
		}
		if got != test.want {
			t.Errorf("%s: %q is read as %s, want %s", name, test.lines, got, test.want)
		}
	}
}
