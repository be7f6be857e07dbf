// SPDX-License-Identifier: GPL-3.0-or-later

// Package auth owns the question who is calling: the rule of every API operation and the check of a Worker's secret.
// It must not know HTTP answers nor what an operation does.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"flamenco.farm/internal/farm"
)

// secretCost is the bcrypt cost of Worker secrets. They are random and long, so that a dear hash would protect nothing;
// databases of older Managers hold the same cost.
const secretCost = bcrypt.MinCost

// cacheSize bounds the number of Workers whose secret is remembered as verified.
const cacheSize = 4096

// Secrets is where the hashes of secrets are kept.
type Secrets interface {
	// WorkerSecret is the hash of a Worker's secret, farm.ErrNotExist for an unknown or deleted one.
	WorkerSecret(ctx context.Context, workerID string) (hash string, err error)
}

// Workers checks the secrets of Workers. A verified secret is remembered as a keyed hash, because bcrypt takes
// milliseconds and a Worker calls often.
type Workers struct {
	secrets Secrets
	key     []byte // random per process: the remembered hashes are worth nothing elsewhere
	decoy   string // compared with when there is no such Worker, so that the answer takes as long

	mu       sync.Mutex
	verified map[string][]byte // by Worker id
	epoch    int64             // grows with each Forget
}

// NewWorkers makes a checker over secrets.
func NewWorkers(secrets Secrets) (*Workers, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	decoy, err := HashSecret(rand.Text())
	if err != nil {
		return nil, err
	}
	return &Workers{secrets: secrets, key: key, decoy: decoy, verified: make(map[string][]byte)}, nil
}

// HashSecret is what to store of a Worker's secret. A secret longer than 72 bytes is refused with farm.CodeInvalid.
func HashSecret(secret string) (string, error) {
	if secret == "" {
		return "", farm.Errorf(farm.CodeInvalid, "secret: must not be empty")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), secretCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", farm.Errorf(farm.CodeInvalid, "secret: must not be longer than 72 bytes")
	}
	if err != nil {
		return "", fmt.Errorf("auth: hashing a secret: %w", err)
	}
	return string(hash), nil
}

// Check says whether the Worker may call: nil, an error of farm.CodeForbidden, or that of the store.
func (w *Workers) Check(ctx context.Context, workerID, secret string) error {
	proof := w.proof(workerID, secret)
	epoch, known := w.recall(workerID, proof)
	if known {
		return nil
	}
	hash, err := w.secrets.WorkerSecret(ctx, workerID)
	if err != nil && !farm.IsNotExist(err) {
		return fmt.Errorf("auth: reading the secret of worker %s: %w", workerID, err)
	}
	if err != nil {
		_ = bcrypt.CompareHashAndPassword([]byte(w.decoy), []byte(secret))
		return farm.Errorf(farm.CodeForbidden, "unknown worker or wrong secret")
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(secret)) != nil {
		return farm.Errorf(farm.CodeForbidden, "unknown worker or wrong secret")
	}
	w.remember(workerID, proof, epoch)
	return nil
}

// Forget makes the next call of the Worker be checked against the store again; to be called once it is deleted.
func (w *Workers) Forget(workerID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch++
	delete(w.verified, workerID)
}

// ForgetAll makes the next call of every Worker be checked against the store again.
func (w *Workers) ForgetAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch++
	clear(w.verified)
}

func (w *Workers) proof(workerID, secret string) []byte {
	mac := hmac.New(sha256.New, w.key)
	fmt.Fprintf(mac, "%d:%s%s", len(workerID), workerID, secret)
	return mac.Sum(nil)
}

func (w *Workers) recall(workerID string, proof []byte) (epoch int64, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch, hmac.Equal(w.verified[workerID], proof)
}

// remember keeps a proof, unless a Worker was forgotten while the secret was being read: it may have been this one.
func (w *Workers) remember(workerID string, proof []byte, epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if epoch != w.epoch {
		return
	}
	if len(w.verified) >= cacheSize {
		for victim := range w.verified {
			delete(w.verified, victim)
			break
		}
	}
	w.verified[workerID] = proof
}

type contextKey struct{}

// WithWorker marks ctx as a call of the Worker, whose secret was checked.
func WithWorker(ctx context.Context, workerID string) context.Context {
	return context.WithValue(ctx, contextKey{}, workerID)
}

// Worker is the id of the Worker that calls, "" if it is none.
func Worker(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}
