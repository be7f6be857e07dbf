// SPDX-License-Identifier: GPL-3.0-or-later

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
)

// secrets is a store of secrets in memory that counts how often it is read.
type secrets struct {
	mu     sync.Mutex
	hashes map[string]string
	err    error
	reads  int
	onRead func()
}

func (s *secrets) WorkerSecret(_ context.Context, id string) (string, error) {
	s.mu.Lock()
	s.reads++
	hash, ok := s.hashes[id]
	err, onRead := s.err, s.onRead
	s.mu.Unlock()
	if onRead != nil {
		onRead()
	}
	if err == nil && !ok {
		err = farm.ErrNotExist
	}
	return hash, err
}

func setup(t *testing.T) (*auth.Workers, *secrets) {
	t.Helper()
	hash, err := auth.HashSecret("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	store := &secrets{hashes: map[string]string{"worker": hash}}
	workers, err := auth.NewWorkers(store)
	if err != nil {
		t.Fatal(err)
	}
	return workers, store
}

func TestOnlyTheRightSecretPasses(t *testing.T) {
	t.Parallel()
	workers, _ := setup(t)
	for range 2 { // the second round meets what the first one remembered
		if err := workers.Check(t.Context(), "worker", "s3cret"); err != nil {
			t.Errorf("right secret: %v", err)
		}
		for _, c := range [][2]string{{"worker", "wrong"}, {"worker", ""}, {"other", "s3cret"}, {"", ""}} {
			if err := workers.Check(t.Context(), c[0], c[1]); farm.CodeOf(err) != farm.CodeForbidden {
				t.Errorf("%v: %v", c, err)
			}
		}
	}
}

func TestAVerifiedSecretIsNotReadAgain(t *testing.T) {
	t.Parallel()
	workers, store := setup(t)
	for range 10 {
		if err := workers.Check(t.Context(), "worker", "s3cret"); err != nil {
			t.Fatal(err)
		}
	}
	if store.reads != 1 {
		t.Errorf("read %d times", store.reads)
	}
}

func TestADeletedWorkerIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	workers, store := setup(t)
	if err := workers.Check(t.Context(), "worker", "s3cret"); err != nil {
		t.Fatal(err)
	}
	delete(store.hashes, "worker")
	workers.Forget("worker")
	if err := workers.Check(t.Context(), "worker", "s3cret"); farm.CodeOf(err) != farm.CodeForbidden {
		t.Errorf("got %v", err)
	}
}

func TestADeletionDuringTheCheckIsNotForgottenAgain(t *testing.T) {
	t.Parallel()
	workers, store := setup(t)
	store.onRead = func() { // the secret has been read; now somebody deletes the worker
		store.mu.Lock()
		delete(store.hashes, "worker")
		store.mu.Unlock()
		workers.Forget("worker")
	}
	if err := workers.Check(t.Context(), "worker", "s3cret"); err != nil {
		t.Fatal(err)
	}
	if err := workers.Check(t.Context(), "worker", "s3cret"); farm.CodeOf(err) != farm.CodeForbidden {
		t.Errorf("got %v", err)
	}
}

func TestAStoreThatFailsIsNotARefusal(t *testing.T) {
	t.Parallel()
	workers, store := setup(t)
	store.err = farm.ErrBusy
	if err := workers.Check(t.Context(), "worker", "s3cret"); !errors.Is(err, farm.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestSecretsThatCannotBeHashedAreRefused(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", strings.Repeat("x", 73)} {
		if _, err := auth.HashSecret(secret); farm.CodeOf(err) != farm.CodeInvalid {
			t.Errorf("%d bytes: %v", len(secret), err)
		}
	}
}

func TestAnOperationWithoutRuleIsNobodys(t *testing.T) {
	t.Parallel()
	if _, ok := auth.RuleOf("dropAllTables"); ok {
		t.Error("it has a rule")
	}
	if rule, ok := auth.RuleOf("taskUpdate"); !ok || rule != auth.WorkerOnly {
		t.Errorf("taskUpdate: %v, %v", rule, ok)
	}
	if n := len(auth.Operations()); n != 67 {
		t.Errorf("%d operations, want 67", n)
	}
}

func TestOnlyTheAdminTokenItselfMatchesAndItIsNeverPrinted(t *testing.T) {
	t.Parallel()
	token := auth.NewAdminToken()
	text := token.Reveal()
	if len(text) != 64 || !token.Matches(text) {
		t.Errorf("%d characters", len(text))
	}
	for _, wrong := range []string{"", text[1:], text + "0", strings.ToUpper(text) + " ", auth.NewAdminToken().Reveal()} {
		if token.Matches(wrong) {
			t.Errorf("%q matches", wrong)
		}
	}
	if (auth.AdminToken{}).Matches("") {
		t.Error("nothing matches nothing")
	}
	if printed := fmt.Sprintf("%v %s", token, token); strings.Contains(printed, text) {
		t.Error("it is printed")
	}
}
