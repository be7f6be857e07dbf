// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one scalar of the configuration: file, environment and sample all go through this table.
type setting struct {
	key     string // path in the file, with dots
	doc     string
	kind    kind     // of its value in JSON
	form    form     // how people write it
	choices []string // all values, for formChoice
	live    bool     // a change holds at once; all others wait for a restart
	secret  bool     // nobody is shown the value
	// secretIf says of a value that nobody is shown it, though it is shown otherwise; nil = never
	secretIf func(string) bool
	parse    func(c *Config, text string) error
	format   func(c Config) string
}

// kind is what a value is in JSON.
type kind int

const (
	kindText kind = iota
	kindNumber
	kindBoolean
)

// form is how people write a value, so that the web app can offer the right field.
type form string

const (
	formText     form = "text"
	formNumber   form = "number"
	formSwitch   form = "switch"
	formChoice   form = "choice"
	formDuration form = "duration"
	formSize     form = "size"
)

// settings is every scalar setting, in the order of the sample.
var settings = []setting{
	live(text("manager_name", "The name that people see in the web app.", func(c *Config) *string { return &c.ManagerName }, notEmpty)),
	hiddenIf(hasPassword, text("database", "The SQLite file; a relative path is below the folder of this file. Or a PostgreSQL database: postgres://user:password@host/name.",
		func(c *Config) *string { return &c.Database }, database)),
	choice("durability", "full: whatever was acknowledged survives a power cut. normal: the last second may be lost, writes are faster.",
		func(c *Config) *Durability { return &c.Durability }, DurabilityFull, DurabilityNormal),
	duration("database_check_period", "How often the database is checked for damage, which it also is after each start. 0: never.",
		func(c *Config) *time.Duration { return &c.DatabaseCheckPeriod }, 0, 1000*time.Hour),
	text("listen", "Address and port of the API and the web app. Port 0 takes a free one.", func(c *Config) *string { return &c.Listen }, address),
	boolean("autodiscoverable", "Whether Workers in the local network may find the Manager by themselves. One that only this machine reaches is not advertised.",
		func(c *Config) *bool { return &c.Autodiscoverable }),
	text("local_manager_storage_path", "Task logs and other files of the Manager itself; a relative path is next to the executable.",
		func(c *Config) *string { return &c.LocalStorage }, notEmpty),
	text("shared_storage_path", "The folder of the files of jobs, which Manager, Workers and artists all see; a relative path is below the folder of this file.",
		func(c *Config) *string { return &c.SharedStorage }, anything),
	live(choice("registration", "open: whoever reaches the Manager may add a Worker. closed: no new Workers; those that are known go on.",
		func(c *Config) *Registration { return &c.Registration }, RegistrationOpen, RegistrationClosed)),
	live(duration("task_timeout", "A task that its Worker does not mention for this long is given to another one. 0: never.",
		func(c *Config) *time.Duration { return &c.TaskTimeout }, 0, 1000*time.Hour)),
	duration("worker_timeout", "A Worker that is silent for this long is taken for lost, and its task is given to another one.",
		func(c *Config) *time.Duration { return &c.WorkerTimeout }, time.Millisecond, 1000*time.Hour),
	duration("timeout_grace", "After a start of the Manager nothing times out for this long.",
		func(c *Config) *time.Duration { return &c.TimeoutGrace }, 0, 1000*time.Hour),
	live(duration("task_request_hold", "How long a Worker's request waits for a task to appear; stay below the limit of proxies in between.",
		func(c *Config) *time.Duration { return &c.TaskRequestHold }, 0, 10*time.Minute)),
	duration("shutdown_delay", "When the Manager is told to stop it says at /readyz that it is not ready, and answers for this long before its port closes. Behind a balancer: 5s, or as long as that takes to notice.",
		func(c *Config) *time.Duration { return &c.ShutdownDelay }, 0, 10*time.Minute),
	live(number("blocklist_threshold", "After this many failures a Worker gets no more tasks of that type of the job.",
		func(c *Config) *int { return &c.BlocklistThreshold }, 1, 1_000_000)),
	live(number("task_fail_after_softfail_count", "After this many Workers failed at it, a task is failed.",
		func(c *Config) *int { return &c.TaskFailAfterSoftFails }, 1, 1_000_000)),
	choice("files", "Where uploaded files, task logs and previews are kept. file: in the local and the shared storage. s3: in a bucket, for any number of Managers.",
		func(c *Config) *Files { return &c.Files }, FilesLocal, FilesS3),
	text("s3.endpoint", "The address of the S3 server, such as https://s3.example.com:9000. Empty: Amazon S3 in the region.",
		func(c *Config) *string { return &c.S3.Endpoint }, serverAddress),
	text("s3.region", "The region of the bucket. Most servers but Amazon's take any.",
		func(c *Config) *string { return &c.S3.Region }, notEmpty),
	text("s3.bucket", "The bucket, which must exist.",
		func(c *Config) *string { return &c.S3.Bucket }, bucketName),
	text("s3.prefix", "What the names of all objects begin with, so that several farms can share a bucket.",
		func(c *Config) *string { return &c.S3.Prefix }, objectPrefix),
	text("s3.access_key", "The access key, which may list, read, write and delete objects in the bucket.",
		func(c *Config) *string { return &c.S3.AccessKey }, anything),
	secret(text("s3.secret_key", "The secret of the access key. It is never shown; better set it by the environment.",
		func(c *Config) *string { return &c.S3.SecretKey }, anything)),
	duration("retention.jobs", "A job that ended and was not changed for this long is deleted, with its logs and previews; rendered files stay. 0: never.",
		func(c *Config) *time.Duration { return &c.Retention.Jobs }, 0, 10*365*24*time.Hour),
	duration("job_compiler.time_limit", "How long the script of a job type may take.",
		func(c *Config) *time.Duration { return &c.JobCompiler.TimeLimit }, time.Millisecond, time.Hour),
	size("job_compiler.memory_limit", "How much memory the script of a job type may use.",
		func(c *Config) *Size { return &c.JobCompiler.MemoryLimit }, 16*mebibyte, 1<<20*mebibyte),
	number("job_compiler.max_tasks", "How many tasks a job may have.",
		func(c *Config) *int { return &c.JobCompiler.MaxTasks }, 1, 10_000_000),
	boolean("shaman.enabled", "Whether files of jobs can be uploaded to the Manager. On Windows this is off unless it is switched on.",
		func(c *Config) *bool { return &c.Shaman.Enabled }),
	duration("shaman.garbageCollect.period", "How often uploaded files that no job uses are deleted, first 30s after the start. 0: never.",
		func(c *Config) *time.Duration { return &c.Shaman.Period }, 0, 100_000*time.Hour),
	duration("shaman.garbageCollect.maxAge", "How long an uploaded file stays after it was last used or asked for.",
		func(c *Config) *time.Duration { return &c.Shaman.MaxAge }, time.Minute, 100_000*time.Hour),
	boolean("mqtt.client.enabled", "Whether events are published to an MQTT 5 broker.",
		func(c *Config) *bool { return &c.MQTT.Enabled }),
	text("mqtt.client.broker", "The address of the broker, such as tcp://broker:1883; tcp, mqtt and ws are in the clear, ssl, tls, mqtts and wss encrypted.",
		func(c *Config) *string { return &c.MQTT.Broker }, brokerAddress),
	text("mqtt.client.clientID", "The name of the Manager at the broker, which no other client may have; on PostgreSQL each Manager adds an ending of its own.",
		func(c *Config) *string { return &c.MQTT.ClientID }, anything),
	text("mqtt.client.topic_prefix", "What topics begin with: flamenco publishes jobs as flamenco/jobs.",
		func(c *Config) *string { return &c.MQTT.TopicPrefix }, topicPrefix),
	text("mqtt.client.username", "The user at the broker; empty: none.",
		func(c *Config) *string { return &c.MQTT.Username }, anything),
	secret(text("mqtt.client.password", "The password at the broker. It is never shown; better set it by the environment.",
		func(c *Config) *string { return &c.MQTT.Password }, anything)),
	size("task_logs.max_size", "How long the log of one attempt at a task may get. A longer one keeps its beginning and its end.",
		func(c *Config) *Size { return &c.TaskLogs.MaxSize }, 4*mebibyte, 1<<20*mebibyte),
	duration("task_logs.retention", "How long after the end of a job the logs of attempts that were tried again are kept. 0: as long as the job.",
		func(c *Config) *time.Duration { return &c.TaskLogs.Retention }, 0, 100_000*time.Hour),
	text("time_zone", "The time zone of sleep schedules, such as Europe/Amsterdam. Empty: that of the Manager's machine.",
		func(c *Config) *string { return &c.TimeZone }, timeZone),
}

// live marks a setting of which a change holds at once: whoever uses it asks for it each time, or subscribes.
func live(s setting) setting {
	s.live = true
	return s
}

// hiddenIf marks a setting that is treated like a secret one while its value is of a kind.
func hiddenIf(secret func(string) bool, s setting) setting {
	s.secretIf = secret
	return s
}

// hides reports whether a value of the setting is not shown.
func (s setting) hides(text string) bool {
	return text != "" && (s.secret || s.secretIf != nil && s.secretIf(text))
}

// secret marks a setting that no API shows and no message repeats.
func secret(s setting) setting {
	s.secret = true
	parse := s.parse
	s.parse = func(c *Config, text string) error {
		if parse(c, text) != nil {
			return errors.New("has a value that cannot be used")
		}
		return nil
	}
	return s
}

func text(key, doc string, at func(*Config) *string, check func(string) error) setting {
	return setting{
		key: key, doc: doc, form: formText,
		parse: func(c *Config, text string) error {
			if err := check(text); err != nil {
				return err
			}
			*at(c) = text
			return nil
		},
		format: func(c Config) string { return *at(&c) },
	}
}

func choice[T ~string](key, doc string, at func(*Config) *T, choices ...T) setting {
	names := make([]string, 0, len(choices))
	for _, choice := range choices {
		names = append(names, string(choice))
	}
	return setting{
		key: key, doc: doc, form: formChoice, choices: names,
		parse: func(c *Config, text string) error {
			if slices.Contains(names, text) {
				*at(c) = T(text)
				return nil
			}
			return fmt.Errorf("%q is none of %s", text, strings.Join(names, ", "))
		},
		format: func(c Config) string { return string(*at(&c)) },
	}
}

func duration(key, doc string, at func(*Config) *time.Duration, low, high time.Duration) setting {
	return setting{
		key: key, doc: doc, form: formDuration,
		parse: func(c *Config, text string) error {
			d, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("%q is not a duration such as 45s, 10m or 1h30m", text)
			}
			if d < low || d > high {
				return fmt.Errorf("%s is not between %s and %s", text, low, high)
			}
			*at(c) = d
			return nil
		},
		format: func(c Config) string { return shortDuration(*at(&c)) },
	}
}

func number(key, doc string, at func(*Config) *int, low, high int) setting {
	return setting{
		key: key, doc: doc, form: formNumber, kind: kindNumber,
		parse: func(c *Config, text string) error {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("%q is not a whole number", text)
			}
			if n < low || n > high {
				return fmt.Errorf("%d is not between %d and %d", n, low, high)
			}
			*at(c) = n
			return nil
		},
		format: func(c Config) string { return strconv.Itoa(*at(&c)) },
	}
}

func boolean(key, doc string, at func(*Config) *bool) setting {
	return setting{
		key: key, doc: doc, form: formSwitch, kind: kindBoolean,
		parse: func(c *Config, text string) error {
			lower := strings.ToLower(text) // YAML takes True as well
			if lower != "true" && lower != "false" {
				return fmt.Errorf("%q is neither true nor false", text)
			}
			*at(c) = lower == "true"
			return nil
		},
		format: func(c Config) string { return strconv.FormatBool(*at(&c)) },
	}
}

func size(key, doc string, at func(*Config) *Size, low, high Size) setting {
	return setting{
		key: key, doc: doc, form: formSize,
		parse: func(c *Config, text string) error {
			n, err := parseSize(text)
			if err != nil {
				return err
			}
			if n < low || n > high {
				return fmt.Errorf("%s is not between %s and %s", text, low, high)
			}
			*at(c) = n
			return nil
		},
		format: func(c Config) string { return at(&c).String() },
	}
}

func anything(string) error { return nil }

// brokerAddress keeps the password out of what everybody may see.
func brokerAddress(text string) error {
	if strings.Contains(text, "@") {
		return errors.New("must not hold a user or a password, which have settings of their own")
	}
	return nil
}

func topicPrefix(text string) error {
	if strings.ContainsAny(text, "+#\x00") {
		return fmt.Errorf("%q holds + or #, which stand for other topics", text)
	}
	return nil
}

func notEmpty(text string) error {
	if strings.TrimSpace(text) == "" {
		return fmt.Errorf("must not be empty")
	}
	return nil
}

func database(text string) error {
	if !isAddress(text) {
		return notEmpty(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" {
		return errors.New("is not an address such as postgres://user:password@host:5432/name") // it is not repeated: it may hold a password
	}
	return nil
}

// isAddress tells the address of a database server from the path of a file.
func isAddress(database string) bool { return strings.Contains(database, "://") }

// hasPassword reports whether a database setting has a password in it.
func hasPassword(database string) bool {
	if !isAddress(database) {
		return false
	}
	u, err := url.Parse(database)
	if err != nil {
		return true
	}
	_, set := u.User.Password()
	return set || strings.Contains(strings.ToLower(u.RawQuery), "password")
}

func timeZone(text string) error {
	if _, err := (Config{TimeZone: text}).Zone(); err != nil {
		return fmt.Errorf("%q is not a time zone such as Europe/Amsterdam or UTC", text)
	}
	return nil
}

func address(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as :8080 or 127.0.0.1:8080", text)
	}
	return nil
}

// shortDuration is 10m rather than 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
