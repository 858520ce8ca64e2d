package delivery

import (
	"context"
	"fmt"
	"io"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/credentials"
	"bookshelf/infra/drill"
	"bookshelf/infra/observability/textfile"
	"bookshelf/infra/scratch"
)

// DrillResult is a drill with the path of its page. Its JSON form is what `deliver drill --json` prints.
type DrillResult struct {
	drill.Report
	Page string `json:"page"`
}

// Drill restores the newest backup of an environment beside it, proves what is in it, and measures how long that takes. The environment is
// not touched. What the tools say goes to log. The report is kept, however it ends; the error is about what kept it from beginning, or from
// being cleared away.
func (o *Operator) Drill(ctx context.Context, name string, log io.Writer) (DrillResult, error) {
	s, unlock, err := o.reopen(ctx, name, "drill")
	if err != nil {
		return DrillResult{}, err
	}
	defer unlock()
	beside, err := s.scratch("drill", s.env.Part("drill-data"), log)
	if err != nil {
		return DrillResult{}, err
	}
	id := newID()
	config := drill.Config{
		Scratch: beside, ID: id, MaxAge: overdue(s.config.Backup),
		Slot: s.slots.LiveSlot(), Paths: s.config.Service.Smoke,
		Progress: func(step string) { s.Report.Note("%s", step) },
	}
	if config.System, err = s.system(ctx); err != nil {
		s.Report.Note("the database of %s does not answer, so the drill compares with the backup alone: %v", name, err)
	} else {
		status, err := s.backup.Status(ctx)
		if err != nil {
			return DrillResult{}, err
		}
		config.LastWAL = status.Archive.LastWAL
		config.Exposure = func(ctx context.Context) (time.Duration, error) { return s.exposure(ctx, id) }
	}
	report, err := drill.Run(ctx, s.Platform, config)
	result := DrillResult{Report: report}
	page, saved := drill.Save(s.Layout.DrillsDir(name), report)
	result.Page = page
	if saved == nil {
		saved = s.tellDrill(report)
	}
	if err == nil {
		err = saved
	}
	return result, err
}

// tellDrill writes how the last drill ended, and when one ended well.
func (s *session) tellDrill(report drill.Report) error {
	samples := report.Metrics()
	last, err := drill.LastSuccess(s.Layout.DrillsDir(s.name))
	if err != nil {
		return err
	}
	if !last.IsZero() {
		samples = append(samples, textfile.Sample{Name: "drill_last_success_timestamp_seconds", Value: float64(last.Unix())})
	}
	return textfile.Write(s.Layout.MetricsDir(s.name), "drill", samples)
}

// newID is a name for something that begins now, in the order of time.
func newID() string { return time.Now().UTC().Format("20060102-150405") }

// scratch says where a scratch database of this environment comes from, and on which volume it is to be.
func (s *session) scratch(purpose, volume string, log io.Writer) (scratch.Config, error) {
	secrets, err := credentials.Load(s.Layout.SecretsDir(s.name))
	if err != nil {
		return scratch.Config{}, err
	}
	c := scratch.Config{
		Env: s.env, Purpose: purpose, Image: s.settings["databaseImage"], Limits: s.config.Database,
		Secrets: s.env.Part("secrets-backup"), Roles: s.env.Part("secrets-database"), Data: volume, Log: log,
		Role: secrets.App.Role,
	}
	if s.config.Backup.Repository.Remote() {
		c.Network = s.env.Part("repository")
	} else {
		c.Repository = s.env.Part(backup.Volume)
	}
	return c, nil
}

// system asks the database for its cluster's identifier.
func (s *session) system(ctx context.Context) (string, error) {
	words, err := s.database.Query(ctx, "SELECT system_identifier FROM pg_control_system()")
	if err != nil {
		return "", err
	}
	if len(words) != 1 {
		return "", fmt.Errorf("the database does not say which cluster it is: %q", words)
	}
	return words[0], nil
}

// exposureLimit is how long archiving may take before it counts as broken.
const exposureLimit = 5 * time.Minute

// exposure writes something to the log and waits until it is archived, without hurrying that: for so long it could have been lost.
func (s *session) exposure(ctx context.Context, id string) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, exposureLimit, fmt.Errorf("what was written is not archived after %s", exposureLimit))
	defer cancel()
	began := time.Now()
	words, err := s.database.Query(ctx, fmt.Sprintf("SELECT pg_walfile_name(pg_create_restore_point('drill-%s'))", id))
	if err != nil {
		return 0, err
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		archived, err := s.database.Query(ctx, "SELECT last_archived_wal >= '"+words[0]+"' FROM pg_stat_archiver")
		if err != nil {
			return 0, err
		}
		if len(archived) == 1 && archived[0] == "t" {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
