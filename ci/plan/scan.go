package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// reportSchema is the version of Trivy's JSON report that is understood here. Another one may mean other things by the
// same names.
const reportSchema = 2

// report is the part of Trivy's JSON report that the verdict needs.
type report struct {
	SchemaVersion int
	ArtifactName  string
	Results       []struct {
		Target          string
		Packages        []struct{ Name string }
		Vulnerabilities []struct {
			VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Severity, Title string
		}
		Misconfigurations []struct {
			ID, Title, Severity, Status string
		}
		// Match, the secret itself, is left where it is.
		Secrets []struct {
			RuleID, Title, Severity string
			StartLine               int
		}
	}
}

// Finding is one thing that a scan has found.
type Finding struct {
	Artifact string // what was scanned
	ID       string // CVE-2026-1234, DS-0002, aws-access-key-id
	Severity string // UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL
	Where    string // package or file
	What     string // its title
	Remedy   string // what mends it; "" when nothing does yet
}

func (f Finding) String() string {
	return fmt.Sprintf("%s %s in %s: %s (%s)", f.Severity, f.ID, f.Where, cmp.Or(f.What, "no description"), cmp.Or(f.Remedy, "no fix yet"))
}

// grave are the severities that block.
var grave = []string{"HIGH", "CRITICAL"}

var severities = []string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// blocks tells whether the finding turns the verdict red: it is grave and there is something to do about it.
func (f Finding) blocks() bool {
	return slices.Contains(grave, f.Severity) && f.Remedy != ""
}

// findings reads one report. A report that cannot be trusted to be one is an error: wrong schema, a severity nobody knows,
// or no package at all, which is what a scan of nothing looks like.
func findings(content []byte) ([]Finding, error) {
	var r report
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, fmt.Errorf("scan report: %w", err)
	}
	if r.SchemaVersion != reportSchema || r.ArtifactName == "" {
		return nil, fmt.Errorf("scan report: schema %d of artifact %q: want a report of Trivy with schema %d", r.SchemaVersion, r.ArtifactName, reportSchema)
	}
	var found []Finding
	packages := 0
	for _, result := range r.Results {
		packages += len(result.Packages)
		for _, v := range result.Vulnerabilities {
			f := Finding{ID: v.VulnerabilityID, Severity: v.Severity, Where: v.PkgName, What: v.Title}
			if v.FixedVersion != "" {
				f.Remedy = v.InstalledVersion + " → " + v.FixedVersion
			}
			found = append(found, f)
		}
		for _, m := range result.Misconfigurations {
			if m.Status == "FAIL" {
				found = append(found, Finding{ID: m.ID, Severity: m.Severity, Where: result.Target, What: m.Title, Remedy: "change the configuration"})
			}
		}
		for _, s := range result.Secrets {
			found = append(found, Finding{
				ID: s.RuleID, Severity: s.Severity, Where: result.Target, What: fmt.Sprintf("%s, line %d", s.Title, s.StartLine),
				Remedy: "remove the secret and revoke it",
			})
		}
	}
	if packages == 0 {
		return nil, fmt.Errorf("scan report of %s: it lists no package, so nothing was examined", r.ArtifactName)
	}
	for i := range found {
		found[i].Artifact = r.ArtifactName
		if !slices.Contains(severities, found[i].Severity) {
			return nil, fmt.Errorf("scan report of %s: %s has the unknown severity %q", r.ArtifactName, found[i].ID, found[i].Severity)
		}
	}
	return found, nil
}

// Excused is a finding that would block if an entry of the ignore file did not cover it.
type Excused struct {
	Finding
	Ignore
}

// Verdict is what a scan comes to.
type Verdict struct {
	Artifacts int
	Blocking  []Finding
	Excused   []Excused
	Noted     []Finding // neither: too light, or there is no fix yet
	Unused    []Ignore  // entries that cover nothing any more
	Database  Database
}

// Judge comes to a verdict about Trivy's JSON reports: databaseMetadata is the metadata.json of the database that they
// were made with, ignoreFile as ParseIgnores reads it. An error means that there is no verdict, which is not a pass.
func Judge(reports [][]byte, databaseMetadata, ignoreFile []byte, now time.Time) (*Verdict, error) {
	if len(reports) == 0 {
		return nil, errors.New("nothing was scanned")
	}
	database, err := ParseDatabase(databaseMetadata)
	if err != nil {
		return nil, err
	}
	if err := database.Check(now); err != nil {
		return nil, err
	}
	ignores, err := ParseIgnores(ignoreFile, now)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Artifacts: len(reports), Database: database}
	used := map[string]bool{}
	for _, content := range reports {
		found, err := findings(content)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			ignore, covered := ignores.find(f)
			if covered {
				used[ignore.ID+" "+ignore.Package] = true
			}
			switch {
			case !f.blocks():
				v.Noted = append(v.Noted, f)
			case covered:
				v.Excused = append(v.Excused, Excused{f, ignore})
			default:
				v.Blocking = append(v.Blocking, f)
			}
		}
	}
	for _, i := range ignores {
		if !used[i.ID+" "+i.Package] {
			v.Unused = append(v.Unused, i)
		}
	}
	slices.SortStableFunc(v.Blocking, func(a, b Finding) int {
		return cmp.Or(slices.Index(severities, b.Severity)-slices.Index(severities, a.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Where, b.Where))
	})
	return v, nil
}

// Err is nil for a pass and otherwise names every blocking finding.
func (v *Verdict) Err() error {
	if len(v.Blocking) == 0 {
		return nil
	}
	lines := make([]string, len(v.Blocking))
	for i, f := range v.Blocking {
		lines[i] = f.Artifact + ": " + f.String()
	}
	return fmt.Errorf("%d findings that can be mended:\n%s", len(lines), strings.Join(lines, "\n"))
}

// Markdown is the verdict for a person, as a job summary shows it.
func (v *Verdict) Markdown() string {
	var b strings.Builder
	word := "passed"
	if len(v.Blocking) > 0 {
		word = "failed"
	}
	fmt.Fprintf(&b, "## Scan %s\n\n%d artifacts, database of %s: %d blocking, %d excused, %d noted.\n",
		word, v.Artifacts, v.Database.UpdatedAt.UTC().Format("2006-01-02 15:04"), len(v.Blocking), len(v.Excused), len(v.Noted))
	if len(v.Blocking)+len(v.Excused) > 0 {
		b.WriteString("\n| artifact | severity | finding | where | what | remedy |\n|---|---|---|---|---|---|\n")
	}
	row := func(f Finding, remedy string) {
		cells := []string{f.Artifact, f.Severity, f.ID, f.Where, f.What, remedy}
		for i, c := range cells {
			// A title is somebody else's text and must not break out of its cell.
			cells[i] = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(c)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, f := range v.Blocking {
		row(f, f.Remedy)
	}
	for _, e := range v.Excused {
		row(e.Finding, fmt.Sprintf("excused until %s: %s", e.Expires, e.Reason))
	}
	for _, i := range v.Unused {
		fmt.Fprintf(&b, "\nThe ignore file's entry %s covers nothing any more; remove it.\n", i.ID)
	}
	return b.String()
}
