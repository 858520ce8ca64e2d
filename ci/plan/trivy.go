package plan

// The command lines of Trivy. They are run in an empty folder, because Trivy obeys a trivy.yaml or .trivyignore that lies
// in its working directory.

// trivy is what those that scan have in common. Telemetry and version notices are calls to elsewhere that no scan needs.
func trivy(command, cache string, more ...string) []string {
	args := []string{"trivy", command, "--cache-dir", cache, "--quiet", "--disable-telemetry", "--skip-version-check"}
	return append(args, more...)
}

// TrivyDatabase fetches the vulnerability database from an OCI repository, or from Trivy's own when repository is "".
func TrivyDatabase(cache, repository string) []string {
	args := trivy("image", cache, "--download-db-only")
	if repository != "" {
		args = append(args, "--db-repository", repository)
	}
	return args
}

// offline: the database was fetched and its age checked before; the checks of configuration are those that this version
// of Trivy carries.
var offline = []string{"--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--offline-scan"}

// TrivyImage scans an image in a tar archive for vulnerabilities, secrets and misconfiguration into a JSON report.
func TrivyImage(cache, archive, output string) []string {
	args := trivy("image", cache, "--scanners", "vuln,secret,misconfig", "--image-config-scanners", "misconfig,secret",
		"--list-all-pkgs", "--format", "json", "--output", output, "--input", archive)
	return append(args, offline...)
}

// TrivyFilesystem does the same for a folder of sources.
func TrivyFilesystem(cache, dir, output string) []string {
	args := trivy("filesystem", cache, "--scanners", "vuln,secret,misconfig", "--list-all-pkgs", "--format", "json", "--output", output)
	return append(append(args, offline...), dir)
}

// TrivyConvert writes a JSON report in another format: sarif, table.
func TrivyConvert(format, report, output string) []string {
	return []string{"trivy", "convert", "--quiet", "--format", format, "--output", output, report}
}

// TrivySBOM lists what an image in a tar archive consists of, in format cyclonedx or spdx-json. It needs no database.
func TrivySBOM(cache, format, archive, output string) []string {
	return trivy("image", cache, "--format", format, "--output", output, "--skip-db-update", "--skip-java-db-update", "--offline-scan", "--input", archive)
}
