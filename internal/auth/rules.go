// SPDX-License-Identifier: GPL-3.0-or-later

package auth

// Rule says who may use an operation.
type Rule string

// The rules. Flamenco 3 knows no people: all that is not a Worker's own is open to whoever reaches the port.
const (
	Open       Rule = "open"
	WorkerOnly Rule = "worker"
	AdminOnly  Rule = "admin" // whoever can read the files of the Manager
)

// rules holds every operation of the API by its name in the document; a test keeps the two equal.
var rules = map[string]Rule{
	"getVersion":               Open,
	"getConfiguration":         Open,
	"checkSharedStoragePath":   Open,
	"findBlenderExePath":       Open,
	"checkBlenderExePath":      Open,
	"saveSetupAssistantConfig": Open,
	"getConfigurationFile":     Open,
	"updateConfigurationFile":  Open,
	"getVariables":             Open,
	"getSharedStorage":         Open,
	"getFarmStatus":            Open,

	"fetchMaintenance": Open,
	"setMaintenance":   AdminOnly,

	"exportFarm": AdminOnly,
	"importFarm": AdminOnly,

	"registerWorker":     Open,
	"signOn":             WorkerOnly,
	"signOff":            WorkerOnly,
	"workerState":        WorkerOnly,
	"workerStateChanged": WorkerOnly,
	"scheduleTask":       WorkerOnly,
	"taskUpdate":         WorkerOnly,
	"mayWorkerRun":       WorkerOnly,
	"taskOutputProduced": WorkerOnly,

	"fetchWorkers":              Open,
	"fetchWorker":               Open,
	"deleteWorker":              Open,
	"requestWorkerStatusChange": Open,
	"setWorkerTags":             Open,
	"fetchWorkerSleepSchedule":  Open,
	"setWorkerSleepSchedule":    Open,
	"fetchWorkerTags":           Open,
	"createWorkerTag":           Open,
	"fetchWorkerTag":            Open,
	"updateWorkerTag":           Open,
	"deleteWorkerTag":           Open,

	"getJobTypes":                 Open,
	"getJobType":                  Open,
	"fetchJobs":                   Open,
	"submitJob":                   Open,
	"submitJobCheck":              Open,
	"deleteJobMass":               Open,
	"fetchJob":                    Open,
	"deleteJob":                   Open,
	"deleteJobWhatWouldItDo":      Open,
	"fetchJobLastRenderedInfo":    Open,
	"fetchGlobalLastRenderedInfo": Open,
	"setJobStatus":                Open,
	"setJobPriority":              Open,
	"setJobTag":                   Open,
	"fetchJobTasks":               Open,
	"fetchJobBlocklist":           Open,
	"removeJobBlocklist":          Open,

	"fetchTask":        Open,
	"fetchTaskLogTail": Open,
	"fetchTaskLogInfo": Open,
	"fetchTaskLogText": Open,
	"setTaskStatus":    Open,

	"fetchOperations":   Open,
	"startOperation":    AdminOnly,
	"fetchOperation":    Open,
	"fetchOperationLog": Open,
	"cancelOperation":   Open,

	"shamanCheckoutRequirements": Open,
	"shamanCheckout":             Open,
	"shamanFileStoreCheck":       Open,
	"shamanFileStore":            Open,
}

// RuleOf is the rule of an operation; false if it has none, and then nobody may use it.
func RuleOf(operationID string) (Rule, bool) {
	rule, ok := rules[operationID]
	return rule, ok
}

// Operations is the name of every operation that has a rule, in no order.
func Operations() []string {
	names := make([]string, 0, len(rules))
	for name := range rules {
		names = append(names, name)
	}
	return names
}
