package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const complete = `{
	"rate": 50, "fresh": 0.1, "timeout": "10s", "slow_for": "2s", "shares": {"read": 0.5, "write": 0.25, "slow": 0.25},
	"read": [{"path": "/things?limit=5", "status": [200]}, {"method": "HEAD", "path": "/things/{{run}}/{{n}}", "status": [200, 404], "headers": {"Accept": "application/json"}}],
	"write": {"path": "/things", "content_type": "application/json", "body": "{\"title\":\"{{run}}\",\"number\":\"{{ean13}}\"}", "status": [201]},
	"version_header": "Service-Version", "ean13_prefix": "979", "root_ca": "ca.pem", "server_name": "things.example"
}`

func TestAConfigurationIsRead(t *testing.T) {
	t.Parallel()
	got, err := Parse(complete)
	want := Config{
		Rate: 50, Fresh: 0.1, Timeout: 10 * time.Second, SlowFor: 2 * time.Second, Shares: Shares{Read: 0.5, Write: 0.25, Slow: 0.25},
		Read: []Request{
			{Method: "GET", Path: "/things?limit=5", Status: []int{200}},
			{Method: "HEAD", Path: "/things/{{run}}/{{n}}", Status: []int{200, 404}, Headers: map[string]string{"Accept": "application/json"}},
		},
		Write: &Request{
			Method: "POST", Path: "/things", ContentType: "application/json", Body: `{"title":"{{run}}","number":"{{ean13}}"}`, Status: []int{201}, Key: "{{ean13}}",
		},
		VersionHeader: "Service-Version", EAN13Prefix: "979", RootCA: "ca.pem", ServerName: "things.example",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
}

func TestDefaultsDependOnWhetherThereIsAWrite(t *testing.T) {
	t.Parallel()
	const reads = `"version_header": "V", "read": [{"path": "/", "status": [200]}]`
	for text, want := range map[string]Shares{
		"{" + reads + "}": {Read: 1},
		"{" + reads + `, "write": {"path": "/{{uuid}}", "method": "PUT", "body": "x", "content_type": "text/plain", "status": [201]}}`: {Read: 0.75, Write: 0.2, Slow: 0.05},
	} {
		c, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if c.Rate != 100 || c.Fresh != 0.2 || c.Timeout != 15*time.Second || c.SlowFor != 5*time.Second || c.EAN13Prefix != "9790" || c.Shares != want {
			t.Errorf("%+v", c)
		}
		if c.Write != nil && c.Write.Key != "{{uuid}}" {
			t.Errorf("key %q, want the word that is in the path", c.Write.Key)
		}
	}
}

func TestWrongTypesAndUnknownMembersAreNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse(`{"rate": "fast", "fresh": null, "timeout": 15, "slow_for": "soon", "colour": 1, "shares": [], "version_header": 3,
		"read": [{"path": 1, "status": ["ok"], "headers": {"A": 1}, "verb": "GET"}, 7], "write": null}`)
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`rate = "fast": want a number`,
		`fresh = null: want a number`,
		`timeout = 15: want a duration such as "5s"`,
		`slow_for = "soon": want a duration such as "5s"`,
		`version_header = 3: want a string`,
		`read[0].path = 1: want a string`,
		`read[0].status = ["ok"]: want a list of whole numbers`,
		`read[0].headers = {"A": 1}: want an object whose members are strings`,
		`read[0].verb is not known`,
		`read[1]: want an object`,
		`write: want an object`,
		`shares: want an object`,
		`colour is not known`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, text := range []string{"", "[]", "{} {}", `"rate"`} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is taken for a configuration", text)
		}
	}
}

func TestValuesThatMakeNoSenseAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, new, want string }{
		"no rate":                      {`"rate": 50`, `"rate": 0`, "rate = 0"},
		"too high a rate":              {`"rate": 50`, `"rate": 5001`, "at most 5000"},
		"a share of fresh over 1":      {`"fresh": 0.1`, `"fresh": 1.1`, "fresh = 1.1"},
		"no timeout":                   {`"10s"`, `"0s"`, "timeout = 0s"},
		"slower than the timeout":      {`"2s"`, `"10s"`, "slow_for = 10s: want more than 0s and less than timeout"},
		"shares beyond 1":              {`"slow": 0.25`, `"slow": 0.5`, "shares add up to 1.25"},
		"a negative share":             {`"slow": 0.25`, `"slow": -1`, "shares.slow = -1"},
		"no version header":            {`"Service-Version"`, `"Service Version"`, `version_header = "Service Version"`},
		"a prefix that is none":        {`"979"`, `"979-0"`, `ean13_prefix = "979-0"`},
		"a read that writes":           {`"HEAD"`, `"DELETE"`, `read[1].method = "DELETE"`},
		"a read with a body":           {`"method": "HEAD"`, `"body": "x"`, "read[1] has a body"},
		"a read with a key":            {`"method": "HEAD"`, `"key": "x"`, "read[1].key"},
		"a read with a write's number": {`{{n}}`, `{{ean13}}`, "read[1].path has {{ean13}}: want one of {{run}}, {{n}}"},
		"an unknown word":              {`\"{{run}}`, `\"{{ run }}`, "write.body has {{ run }}"},
		"a relative path":              {`"/things"`, `"things"`, `write.path = "things"`},
		"a path with a fragment":       {`"/things"`, `"/things#1"`, `write.path = "/things#1"`},
		"no status":                    {`[201]`, `[]`, "write.status is empty"},
		"an error that is expected":    {`[201]`, `[201, 503]`, "write.status has 503"},
		"a header of the probe":        {`"Accept"`, `"connection"`, "headers has connection: want others"},
		"a header with a space":        {`"Accept"`, `"A b"`, `headers has "A b"`},
		"a header of two lines":        {`"application/json"}`, `"a\r\nB: c"}`, "read[1].headers.Accept has a control character"},
		"a write that reads":           {`"write": {`, `"write": {"method": "GET",`, `write.method = "GET"`},
		"a body of no type":            {`"content_type": "application/json",`, ``, "write.content_type is missing"},
		"a key that is always one":     {`"write": {`, `"write": {"key": "{{run}}",`, `write.key = "{{run}}"`},
		"slow without a body":          {`"body": "{\"title\":\"{{run}}\",\"number\":\"{{ean13}}\"}"`, `"key": "{{n}}"`, "shares.slow = 0.25: want 0"},
		"writes without a write": {
			complete[strings.Index(complete, `"write": {"path"`):strings.Index(complete, `"version_header"`)], "", "want 0, because there is no write",
		},
		"no reads": {complete[strings.Index(complete, `"read": [`):strings.Index(complete, `"write": {"path"`)], "", "read is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(complete, test.old) {
				t.Fatalf("%q is not in the configuration", test.old)
			}
			_, err := Parse(strings.Replace(complete, test.old, test.new, 1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			if name != "a negative share" && err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("one problem is reported as several:\n%v", err)
			}
		})
	}
}
