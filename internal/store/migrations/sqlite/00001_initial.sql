-- SPDX-License-Identifier: GPL-3.0-or-later
-- Times are microseconds since 1970 in UTC, 0 = never. UUIDs and JSON are TEXT.
-- +goose Up
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);
INSERT INTO projects (uuid, name, created_at) VALUES ('00000000-0000-4000-8000-000000000001', 'Default', 0);

CREATE TABLE tags (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    secret TEXT NOT NULL,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    platform TEXT NOT NULL,
    software TEXT NOT NULL,
    status TEXT NOT NULL,
    status_requested TEXT NOT NULL,
    lazy_request BOOLEAN NOT NULL,
    can_restart BOOLEAN NOT NULL,
    session TEXT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE worker_task_types (
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    task_type TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (worker_id, task_type)
);

CREATE TABLE worker_tags (
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    tag_id BIGINT NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    PRIMARY KEY (worker_id, tag_id)
);
CREATE INDEX worker_tags_by_tag ON worker_tags (tag_id);

-- When a worker sleeps. held_status is what a person asked for since the last edge of the schedule: it counts until
-- next_check_at, the next edge.
CREATE TABLE sleep_schedules (
    worker_id INTEGER PRIMARY KEY REFERENCES workers (id) ON DELETE CASCADE,
    is_active BOOLEAN NOT NULL,
    windows TEXT NOT NULL,
    held_status TEXT NOT NULL,
    next_check_at BIGINT NOT NULL
);
CREATE INDEX sleep_schedules_by_next_check ON sleep_schedules (next_check_at) WHERE is_active;

-- Hot part of a job: status, counters, steps. What it was submitted with is in job_specs.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    priority BIGINT NOT NULL,
    status TEXT NOT NULL,
    activity TEXT NOT NULL,
    tag_id BIGINT REFERENCES tags (id) ON DELETE SET NULL,
    requeue_completed BOOLEAN NOT NULL,
    n_queued BIGINT NOT NULL,
    n_active BIGINT NOT NULL,
    n_completed BIGINT NOT NULL,
    n_soft_failed BIGINT NOT NULL,
    n_failed BIGINT NOT NULL,
    n_canceled BIGINT NOT NULL,
    n_paused BIGINT NOT NULL,
    steps_completed BIGINT NOT NULL,
    steps_total BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    delete_requested_at BIGINT NOT NULL,
    -- What was done with the task logs since the job ended: 0 nothing, 1 compressed, 2 those of earlier attempts removed.
    logs_state BIGINT NOT NULL DEFAULT 0,
    -- When an ended job was saved last, else 0. No index has updated_at: PostgreSQL would write all of them with every task.
    ended_at BIGINT NOT NULL DEFAULT 0,
    revision BIGINT NOT NULL
);
CREATE INDEX jobs_by_logs_state ON jobs (logs_state, ended_at) WHERE status IN ('completed', 'failed', 'canceled');
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_tag ON jobs (tag_id);
CREATE INDEX jobs_by_project ON jobs (project_id);
CREATE INDEX jobs_to_delete ON jobs (id) WHERE delete_requested_at > 0;

CREATE TABLE job_specs (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    metadata TEXT NOT NULL,
    shaman_checkout_id TEXT NOT NULL,
    submitter_platform TEXT NOT NULL
);
CREATE INDEX job_specs_by_checkout ON job_specs (shaman_checkout_id) WHERE shaman_checkout_id <> '';

-- The jobs that have a picture of what was rendered last. The times differ, so that one is the newest.
CREATE TABLE last_rendered (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    rendered_at BIGINT NOT NULL
);
CREATE INDEX last_rendered_newest ON last_rendered (rendered_at);

-- First level of a claim: how many tasks of a type wait in a job. Tag, priority and runnable are copies from the job.
CREATE TABLE job_ready (
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    task_type TEXT NOT NULL,
    tag_id BIGINT,
    priority BIGINT NOT NULL,
    runnable BOOLEAN NOT NULL,
    ready_count BIGINT NOT NULL,
    PRIMARY KEY (job_id, task_type)
);
-- Without ready_count, which changes with every claim: PostgreSQL writes all indexes of a row when a column of one changes.
CREATE INDEX job_ready_to_claim ON job_ready (priority DESC, job_id) WHERE runnable;

CREATE TABLE job_blocks (
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    task_type TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (job_id, worker_id, task_type)
);
CREATE INDEX job_blocks_by_worker ON job_blocks (worker_id);

-- Hot part of a task. Its commands are in task_specs.
-- On PostgreSQL there is room for the versions of a row that come while its task is run: they need no new index entries.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    index_in_job BIGINT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    priority BIGINT NOT NULL,
    activity TEXT NOT NULL,
    open_deps BIGINT NOT NULL,
    ready BOOLEAN NOT NULL,
    has_dependants BOOLEAN NOT NULL, -- other tasks depend on it
    worker_id BIGINT REFERENCES workers (id) ON DELETE SET NULL,
    slot BIGINT NOT NULL,
    assignment TEXT NOT NULL,
    generation BIGINT NOT NULL,
    on_disconnect TEXT NOT NULL,
    last_sequence BIGINT NOT NULL,
    log_size BIGINT NOT NULL,
    steps_completed BIGINT NOT NULL,
    steps_total BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (job_id, index_in_job)
);
CREATE INDEX tasks_to_claim ON tasks (job_id, type, priority DESC, index_in_job) WHERE ready;
CREATE UNIQUE INDEX tasks_one_per_slot ON tasks (worker_id, slot) WHERE status = 'active';
CREATE INDEX tasks_by_worker ON tasks (worker_id) WHERE worker_id IS NOT NULL;

CREATE TABLE task_specs (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    commands TEXT NOT NULL
);

CREATE TABLE task_dependencies (
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    dependency_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    PRIMARY KEY (task_id, dependency_id)
);
CREATE INDEX task_dependencies_by_dependency ON task_dependencies (dependency_id, task_id);

-- The job is a copy from the task: failures are few, and looked for by job.
CREATE TABLE task_failures (
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (task_id, worker_id)
);
CREATE INDEX task_failures_by_worker ON task_failures (worker_id, task_id);
CREATE INDEX task_failures_by_job ON task_failures (job_id, task_id);

-- History: one row per hand-out of a task, and one per command of it.
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    assignment TEXT NOT NULL UNIQUE,
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    session TEXT NOT NULL,
    slot BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    exit_code BIGINT,
    UNIQUE (task_id, generation)
);
CREATE INDEX attempts_by_worker ON attempts (worker_id, id);

CREATE TABLE attempt_steps (
    attempt_id BIGINT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    command_index BIGINT NOT NULL,
    command TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    exit_code BIGINT,
    PRIMARY KEY (attempt_id, command_index)
);

-- job_id is no reference: PostgreSQL would look for the job with each of the many lines of a change of all its tasks. What
-- deletes tasks and jobs deletes their lines before them, by object.
CREATE TABLE status_changes (
    id INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    object_id BIGINT NOT NULL,
    job_id BIGINT,
    from_status TEXT NOT NULL,
    to_status TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX status_changes_by_object ON status_changes (what, object_id, id);

-- What takes long inside the Manager. manager is the one that runs it, or ran it last. runs is how often it was started, which is the epoch of the locks of its present run.
CREATE TABLE operations (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    params TEXT NOT NULL,
    status TEXT NOT NULL,
    activity TEXT NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT NOT NULL,
    who TEXT NOT NULL,
    manager TEXT NOT NULL,
    runs BIGINT NOT NULL,
    crashes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    cancel_requested_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX operations_by_status ON operations (status, id);

-- A row is a lock that is held; a free one has none.
CREATE TABLE locks (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES operations (uuid) ON DELETE CASCADE,
    epoch BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX locks_by_owner ON locks (owner);

-- What each transaction changed, for other Managers and for those who were away; rows live for some minutes. xid is the
-- number of the transaction where the database has one that others can see, else 0; origin is the Manager and number its
-- own count of events, by which it finds out whether it committed one when the connection was lost.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    xid BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    origin TEXT NOT NULL,
    number BIGINT NOT NULL,
    changes TEXT NOT NULL
);
CREATE INDEX events_in_order ON events (xid, id);

-- What every Manager of the farm knows of it: one row. The epoch grows with each change of the maintenance mode.
CREATE TABLE farm_state (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    uuid TEXT NOT NULL,
    maintenance BOOLEAN NOT NULL,
    epoch BIGINT NOT NULL,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    since_at BIGINT NOT NULL
);

-- The Managers that have the database open, or had it lately. epoch is the one of farm_state that they act by.
CREATE TABLE managers (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    urls TEXT NOT NULL,
    version TEXT NOT NULL,
    pid BIGINT NOT NULL,
    state TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE managers;
DROP TABLE farm_state;
DROP TABLE events;
DROP TABLE locks;
DROP TABLE operations;
DROP TABLE status_changes;
DROP TABLE attempt_steps;
DROP TABLE attempts;
DROP TABLE task_failures;
DROP TABLE task_dependencies;
DROP TABLE task_specs;
DROP TABLE tasks;
DROP TABLE job_blocks;
DROP TABLE job_ready;
DROP TABLE last_rendered;
DROP TABLE job_specs;
DROP TABLE jobs;
DROP TABLE sleep_schedules;
DROP TABLE worker_tags;
DROP TABLE worker_task_types;
DROP TABLE workers;
DROP TABLE tags;
DROP TABLE projects;
