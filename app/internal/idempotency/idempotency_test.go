package idempotency

import (
	"strings"
	"testing"
)

func TestKeysAreReadAsTheDraftWritesThem(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", MaxKeyLen)
	for name, test := range map[string]struct {
		lines []string
		key   string
		err   string
	}{
		"a UUID":                       {[]string{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`}, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		"without its quotes":           {[]string{"8e03978e-40d5-43e8-bc93-6894a57f9324"}, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		"one character":                {[]string{`"x"`}, "x", ""},
		"white space and punctuation":  {[]string{`"a b, c;d"`}, "a b, c;d", ""},
		"escapes":                      {[]string{`"a\"b\\c"`}, `a"b\c`, ""},
		"white space around":           {[]string{` "x" `}, "x", ""},
		"the longest":                  {[]string{`"` + longest + `"`}, longest, ""},
		"the longest without quotes":   {[]string{longest}, longest, ""},
		"too long":                     {[]string{`"` + longest + `x"`}, "", "must not be longer than 255 characters, has 256"},
		"an empty string":              {[]string{`""`}, "", "must not be empty"},
		"nothing":                      {[]string{""}, "", "must not be empty"},
		"two lines":                    {[]string{`"a"`, `"b"`}, "", "must be given once, is given 2 times"},
		"two strings":                  {[]string{`"a", "b"`}, "", "must be a string in double quotes"},
		"a parameter":                  {[]string{`"a";b=1`}, "", "must be a string in double quotes"},
		"a quote that never closes":    {[]string{`"a`}, "", "must be a string in double quotes"},
		"an escape of something else":  {[]string{`"a\nb"`}, "", "must be a string in double quotes"},
		"an escape of the end":         {[]string{`"a\`}, "", "must be a string in double quotes"},
		"a control character":          {[]string{"\"a\tb\""}, "", "must be a string in double quotes"},
		"letters beyond ASCII":         {[]string{`"ä"`}, "", "must be a string in double quotes"},
		"unquoted white space":         {[]string{"a b"}, "", "must be a string in double quotes"},
		"an unquoted list":             {[]string{"a,b"}, "", "must be a string in double quotes"},
		"an unquoted parameter":        {[]string{"a;b"}, "", "must be a string in double quotes"},
		"unquoted beyond ASCII":        {[]string{"ä"}, "", "must be a string in double quotes"},
		"a quote in the middle":        {[]string{`a"b"`}, "", "must be a string in double quotes"},
		"a byte sequence of RFC 8941":  {[]string{":YWJj:"}, ":YWJj:", ""}, // cannot be told from a key without quotes
		"a backslash without its pair": {[]string{`a\b`}, "", "must be a string in double quotes"},
	} {
		key, err := Parse(test.lines)
		switch {
		case test.err == "" && (err != nil || key != test.key):
			t.Errorf("%s: %q is read as %q, %v; want %q", name, test.lines, key, err, test.key)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || key != ""):
			t.Errorf("%s: %q is read as %q, %v; want the error %q", name, test.lines, key, err, test.err)
		}
	}
}

func TestFingerprintsTellBodiesApart(t *testing.T) {
	t.Parallel()
	first, same, other := []byte(`{"a": 1}`), []byte(`{"a": 1}`), []byte(`{"a":1}`)
	if Fingerprint(first) != Fingerprint(same) || Fingerprint(first) == Fingerprint(other) {
		t.Error("a fingerprint is not that of the bytes")
	}
}
