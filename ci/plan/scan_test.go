package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const fresh = `{"Version": 2, "NextUpdate": "2026-11-24T06:00:00Z", "UpdatedAt": "2026-11-23T06:00:00Z", "DownloadedAt": "2026-11-23T11:59:00Z"}`

// scanned is a report of one target with a package.
func scanned(t *testing.T, result map[string]any) []byte {
	t.Helper()
	result["Target"] = "bookd"
	result["Packages"] = []any{map[string]string{"Name": "stdlib"}}
	content, err := json.Marshal(map[string]any{"SchemaVersion": 2, "ArtifactName": "image.tar", "Results": []any{result}})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func vulnerability(severity, fixed string) map[string]any {
	return map[string]any{"Vulnerabilities": []any{map[string]string{
		"VulnerabilityID": "CVE-2026-1234", "PkgName": "golang.org/x/net", "InstalledVersion": "v0.1.0", "FixedVersion": fixed,
		"Severity": severity, "Title": "quadratic parsing",
	}}}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result map[string]any
		ignore string
		want   string // part of the error of a red verdict; "" passes
	}{
		"a clean report passes":                         {result: map[string]any{}},
		"a high vulnerability with a fix blocks":        {vulnerability("HIGH", "v0.2.0"), "", "HIGH CVE-2026-1234 in golang.org/x/net: quadratic parsing (v0.1.0 → v0.2.0)"},
		"a critical vulnerability with a fix blocks":    {vulnerability("CRITICAL", "v0.2.0"), "", "CRITICAL CVE-2026-1234"},
		"a critical one without a fix is noted":         {vulnerability("CRITICAL", ""), "", ""},
		"a medium one is noted":                         {vulnerability("MEDIUM", "v0.2.0"), "", ""},
		"one of unknown severity is noted":              {vulnerability("UNKNOWN", "v0.2.0"), "", ""},
		"an excuse covers a finding":                    {vulnerability("HIGH", "v0.2.0"), "ignore: [{id: CVE-2026-1234, reason: not parsed here, expires: 2026-12-31}]", ""},
		"an excuse covers it in its package":            {vulnerability("HIGH", "v0.2.0"), "ignore: [{id: CVE-2026-1234, package: golang.org/x/net, reason: r, expires: 2026-12-31}]", ""},
		"an excuse for another package does not":        {vulnerability("HIGH", "v0.2.0"), "ignore: [{id: CVE-2026-1234, package: stdlib, reason: r, expires: 2026-12-31}]", "CVE-2026-1234"},
		"an excuse counts on its last day":              {vulnerability("HIGH", "v0.2.0"), "ignore: [{id: CVE-2026-1234, reason: r, expires: 2026-11-23}]", ""},
		"a high misconfiguration blocks":                {map[string]any{"Misconfigurations": []any{map[string]string{"ID": "DS-0002", "Severity": "HIGH", "Status": "FAIL", "Title": "root"}}}, "", "HIGH DS-0002 in bookd: root"},
		"a misconfiguration that is none passes":        {map[string]any{"Misconfigurations": []any{map[string]string{"ID": "DS-0002", "Severity": "HIGH", "Status": "PASS"}}}, "", ""},
		"a secret blocks":                               {map[string]any{"Secrets": []any{map[string]any{"RuleID": "aws-access-key-id", "Severity": "CRITICAL", "Title": "AWS", "StartLine": 7}}}, "", "AWS, line 7"},
		"a misconfiguration can be excused by its file": {map[string]any{"Misconfigurations": []any{map[string]string{"ID": "DS-0002", "Severity": "HIGH", "Status": "FAIL"}}}, "ignore: [{id: DS-0002, package: bookd, reason: r, expires: 2026-12-31}]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := Judge([][]byte{scanned(t, test.result)}, []byte(fresh), []byte(test.ignore), today)
			if err != nil {
				t.Fatal(err)
			}
			err = v.Err()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("want a pass, got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("want an error that says %q, got %v", test.want, err)
			}
		})
	}
}

func TestWithoutATrustworthyReportThereIsNoVerdict(t *testing.T) {
	t.Parallel()
	clean := scanned(t, map[string]any{})
	for name, test := range map[string]struct {
		reports          []string
		database, ignore string
		want             string
	}{
		"nothing was scanned":         {nil, fresh, "", "nothing was scanned"},
		"a report that is no JSON":    {[]string{"oops"}, fresh, "", "scan report"},
		"an empty report":             {[]string{""}, fresh, "", "scan report"},
		"a report of another schema":  {[]string{`{"SchemaVersion": 3, "ArtifactName": "x"}`}, fresh, "", "schema 3"},
		"a report of nothing":         {[]string{`{"SchemaVersion": 2, "ArtifactName": "x", "Results": []}`}, fresh, "", "nothing was examined"},
		"a severity nobody knows":     {[]string{string(scanned(t, vulnerability("SEVERE", "1")))}, fresh, "", `unknown severity "SEVERE"`},
		"no database":                 {[]string{string(clean)}, "", "", "there is no vulnerability database"},
		"a database without a date":   {[]string{string(clean)}, `{"Version": 2}`, "", "does not say when"},
		"a database that is no JSON":  {[]string{string(clean)}, `oops`, "", "metadata.json"},
		"a stale database":            {[]string{string(clean)}, `{"UpdatedAt": "2026-11-20T11:00:00Z"}`, "", "stale"},
		"a database of tomorrow":      {[]string{string(clean)}, `{"UpdatedAt": "2026-11-24T12:00:00Z"}`, "", "in the future"},
		"an expired excuse":           {[]string{string(clean)}, fresh, "ignore: [{id: CVE-1, reason: r, expires: 2026-11-22}]", "it expired on 2026-11-22"},
		"an excuse without a reason":  {[]string{string(clean)}, fresh, "ignore: [{id: CVE-1, reason: ' ', expires: 2026-12-22}]", "it gives no reason"},
		"an excuse without a day":     {[]string{string(clean)}, fresh, "ignore: [{id: CVE-1, reason: r}]", `expires ""`},
		"an excuse for ever":          {[]string{string(clean)}, fresh, "ignore: [{id: CVE-1, reason: r, expires: 2099-01-01}]", "more than 183 days"},
		"an excuse of nothing":        {[]string{string(clean)}, fresh, "ignore: [{reason: r, expires: 2026-12-22}]", "names no finding"},
		"an excuse twice":             {[]string{string(clean)}, fresh, "ignore: [{id: A, reason: r, expires: 2026-12-22}, {id: A, reason: s, expires: 2026-12-23}]", "twice"},
		"a member that nobody knows":  {[]string{string(clean)}, fresh, "ignore: [{id: A, reason: r, until: 2026-12-22}]", "until"},
		"a list that is called other": {[]string{string(clean)}, fresh, "ignored: []", "ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reports [][]byte
			for _, r := range test.reports {
				reports = append(reports, []byte(r))
			}
			v, err := Judge(reports, []byte(test.database), []byte(test.ignore), today)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error that says %q, got %v and the verdict %+v", test.want, err, v)
			}
		})
	}
}

func TestEveryProblemOfTheIgnoreFileIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParseIgnores([]byte("ignore: [{id: A, expires: 2020-01-01}, {reason: r, expires: never}]"), today)
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"entry 1 (A): it gives no reason", "it expired on 2020-01-01", "entry 2 (): it names no finding", `expires "never"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestAnEmptyIgnoreFileExcusesNothing(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "# nothing\n", "ignore:\n", "ignore: []\n"} {
		all, err := ParseIgnores([]byte(content), today)
		if err != nil || len(all) != 0 {
			t.Errorf("%q: %v, %v", content, all, err)
		}
	}
}

func TestTheSummaryTellsAPersonWhatToDo(t *testing.T) {
	t.Parallel()
	reports := [][]byte{scanned(t, vulnerability("HIGH", "v0.2.0")), scanned(t, map[string]any{
		"Misconfigurations": []any{map[string]string{"ID": "DS-0002", "Severity": "CRITICAL", "Status": "FAIL", "Title": "a | b\n<script>"}},
	}), scanned(t, vulnerability("LOW", ""))}
	v, err := Judge(reports, []byte(fresh), []byte(`ignore:
  - {id: CVE-2026-1234, reason: not reached, expires: 2026-12-31}
  - {id: CVE-2020-0001, reason: long gone, expires: 2026-12-31}
`), today)
	if err != nil {
		t.Fatal(err)
	}
	got := v.Markdown()
	for _, want := range []string{
		"## Scan failed", "3 artifacts", "1 blocking, 1 excused, 1 noted", `a \| b &lt;script>`, "excused until 2026-12-31: not reached",
		"entry CVE-2020-0001 covers nothing any more",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary does not say %q:\n%s", want, got)
		}
	}
}
