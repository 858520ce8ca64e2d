package environment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Backup says when backups are taken, how long they are kept, and where.
type Backup struct {
	// Full and Diff are how old the newest full backup, and the newest of any type, may become; Diff 0 leaves differential ones out.
	Full, Diff time.Duration
	// RetainFull and RetainDiff are how many are kept of each; RetainDiff 0 keeps them for as long as their full one. WAL is kept for all of them.
	RetainFull, RetainDiff int
	// Compress is zst, lz4, gz or none.
	Compress   string
	Limits     Limits
	Repository Repository
}

// Repository is where backups are kept.
type Repository struct {
	// Type is RepositoryVolume or RepositoryS3; the rest is for S3 alone.
	Type                     string
	Bucket, Endpoint, Region string
	// Path is the folder in the bucket; "" is one by the name of the environment.
	Path string
	// URIStyle is "host" or "path": whether the bucket is part of the host's name.
	URIStyle string
	// KeyFile, SecretFile and RootsFile are paths of files with the access key, its secret, and the authorities that the endpoint is trusted by.
	KeyFile, SecretFile, RootsFile string

	key, secret, roots string
}

// Types of repositories.
const (
	RepositoryVolume = "volume"
	RepositoryS3     = "s3"
)

// Remote reports whether the repository is somewhere else than on the engine.
func (r Repository) Remote() bool { return r.Type == RepositoryS3 }

// backupSettings are the keys of bookshelf:backup.
type backupSettings struct {
	Full       Duration `json:"full"`
	Diff       Duration `json:"diff"`
	RetainFull int      `json:"retain_full"`
	RetainDiff int      `json:"retain_diff"`
	Compress   string   `json:"compress"`
	MemoryMiB  int      `json:"memory_mib"`
	CPUs       string   `json:"cpus"`
	Repository struct {
		Type       string `json:"type"`
		Bucket     string `json:"bucket"`
		Endpoint   string `json:"endpoint"`
		Region     string `json:"region"`
		Path       string `json:"path"`
		URIStyle   string `json:"uri_style"`
		KeyFile    string `json:"key_file"`
		SecretFile string `json:"secret_file"`
		RootsFile  string `json:"roots_file"`
	} `json:"repository"`
}

func (r *reader) backup(key string) Backup {
	s := backupSettings{Full: Duration(7 * day), Diff: Duration(day), RetainFull: 2, RetainDiff: 7, Compress: "zst", MemoryMiB: 256, CPUs: "1"}
	s.Repository.Type = RepositoryVolume
	decoder := json.NewDecoder(bytes.NewReader([]byte(r.value(key))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		r.problem("%s:%s: want a mapping of settings: %w", Namespace, key, err)
		return Backup{}
	}
	want := func(holds bool, name string, value any, wish string) {
		if !holds {
			r.problem("%s:%s: %s = %v: want %s", Namespace, key, name, value, wish)
		}
	}
	full, diff := time.Duration(s.Full), time.Duration(s.Diff)
	want(full >= time.Minute && full <= 90*day, "full", full, "a duration from 1m to 2160h, as in 168h")
	want(diff == 0 || diff >= time.Minute && diff < full, "diff", diff, "0s, or a duration from 1m on that is shorter than full")
	want(s.RetainFull >= 1 && s.RetainFull <= 1000, "retain_full", s.RetainFull, "a whole number from 1 to 1000")
	want(s.RetainDiff >= 0 && s.RetainDiff <= 1000, "retain_diff", s.RetainDiff, "a whole number from 0 to 1000")
	compressions := []string{"zst", "lz4", "gz", "none"}
	want(slices.Contains(compressions, s.Compress), "compress", s.Compress, "one of "+strings.Join(compressions, ", "))
	want(s.MemoryMiB >= 64, "memory_mib", s.MemoryMiB, "a whole number from 64 on")
	want(cpusPattern.MatchString(s.CPUs), "cpus", s.CPUs, "a number of processors in quotes, such as \"1\"")
	return Backup{
		Full: full, Diff: diff, RetainFull: s.RetainFull, RetainDiff: s.RetainDiff, Compress: s.Compress,
		Limits: Limits{MemoryMiB: s.MemoryMiB, CPUs: s.CPUs}, Repository: r.repository(key, s),
	}
}

func (r *reader) repository(key string, settings backupSettings) Repository {
	s := settings.Repository
	given := map[string]string{
		"bucket": s.Bucket, "endpoint": s.Endpoint, "region": s.Region, "key_file": s.KeyFile, "secret_file": s.SecretFile,
	}
	optional := map[string]string{"path": s.Path, "uri_style": s.URIStyle, "roots_file": s.RootsFile}
	problem := func(name, value, wish string) {
		r.problem("%s:%s: repository: %s = %q: want %s", Namespace, key, name, value, wish)
	}
	switch s.Type {
	case RepositoryVolume:
		for _, settings := range []map[string]string{given, optional} {
			for _, name := range sortedKeys(settings) {
				if settings[name] != "" {
					problem(name, settings[name], "none, because the type is volume")
				}
			}
		}
	case RepositoryS3:
		for _, name := range sortedKeys(given) {
			if given[name] == "" || strings.ContainsAny(given[name], "\n\r") {
				problem(name, given[name], "one, because the type is s3")
			}
		}
		if strings.Contains(s.Endpoint, "://") {
			problem("endpoint", s.Endpoint, "a host and perhaps a port, such as s3.eu-central-1.amazonaws.com; it is always HTTPS")
		}
		if s.URIStyle != "" && s.URIStyle != "host" && s.URIStyle != "path" {
			problem("uri_style", s.URIStyle, "host or path")
		}
		if s.Path != "" && (!strings.HasPrefix(s.Path, "/") || strings.ContainsAny(s.Path, "\n\r")) {
			problem("path", s.Path, "a path that begins with /")
		}
	default:
		problem("type", s.Type, "volume or s3")
	}
	return Repository{
		Type: s.Type, Bucket: s.Bucket, Endpoint: s.Endpoint, Region: s.Region, Path: s.Path, URIStyle: s.URIStyle,
		KeyFile: s.KeyFile, SecretFile: s.SecretFile, RootsFile: s.RootsFile,
	}
}

// readFiles reads what is needed to reach the repository; relative paths are relative to dir.
func (r *Repository) readFiles(dir string) error {
	var problems []error
	for _, file := range []struct {
		key, path string
		content   *string
	}{{"key_file", r.KeyFile, &r.key}, {"secret_file", r.SecretFile, &r.secret}, {"roots_file", r.RootsFile, &r.roots}} {
		if file.path == "" {
			continue
		}
		path := file.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		content, err := os.ReadFile(path)
		*file.content = strings.TrimSpace(string(content))
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s:backup: repository: %s: %w", Namespace, file.key, err))
		case *file.content == "":
			problems = append(problems, fmt.Errorf("%s:backup: repository: %s: %s is empty", Namespace, file.key, path))
		}
	}
	return errors.Join(problems...)
}

// configure writes what pgBackRest has to know of the repository; name is the environment's on the engine.
func (r Repository) configure(set func(key string, value any), name string) {
	if !r.Remote() {
		set("repo1-path", repositoryPath)
		return
	}
	path := r.Path
	if path == "" {
		path = "/" + name
	}
	set("repo1-type", "s3")
	set("repo1-path", path)
	set("repo1-s3-bucket", r.Bucket)
	set("repo1-s3-endpoint", r.Endpoint)
	set("repo1-s3-region", r.Region)
	set("repo1-s3-key", r.key)
	set("repo1-s3-key-secret", r.secret)
	if r.URIStyle != "" {
		set("repo1-s3-uri-style", r.URIStyle)
	}
	if r.roots != "" {
		set("repo1-storage-ca-file", backupSecretsPath+"/repository-roots.pem")
	}
}
