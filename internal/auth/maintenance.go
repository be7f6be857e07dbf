// SPDX-License-Identifier: GPL-3.0-or-later

package auth

// Upkeep says what becomes of an operation while the farm is in maintenance.
type Upkeep string

// What may become of one. Only Refused is not served.
const (
	Reads     Upkeep = "reads"     // it changes nothing
	Reports   Upkeep = "reports"   // Workers need it to finish what they run, and to stay with the farm meanwhile
	HandsOut  Upkeep = "hands out" // it is served, and finds nothing to do
	Maintains Upkeep = "maintains" // the maintenance itself, and operations: each kind of these knows whether it may begin
	Refused   Upkeep = "refused"
)

// upkeep holds every operation of the API by its name in the document; a test keeps the two equal.
var upkeep = map[string]Upkeep{
	"getVersion":               Reads,
	"getConfiguration":         Reads,
	"checkSharedStoragePath":   Reads,
	"findBlenderExePath":       Reads,
	"checkBlenderExePath":      Reads,
	"saveSetupAssistantConfig": Refused,
	"getConfigurationFile":     Reads,
	"updateConfigurationFile":  Refused,
	"getVariables":             Reads,
	"getSharedStorage":         Reads,
	"getFarmStatus":            Reads,

	"fetchMaintenance": Reads,
	"setMaintenance":   Maintains,

	"exportFarm": Reads,
	"importFarm": Maintains,

	"registerWorker":     Reports, // a Worker of Flamenco 3 ends when this fails
	"signOn":             Reports,
	"signOff":            Reports,
	"workerState":        Reports,
	"workerStateChanged": Reports,
	"scheduleTask":       HandsOut,
	"taskUpdate":         Reports,
	"mayWorkerRun":       Reports,
	"taskOutputProduced": Reports,

	"fetchWorkers":              Reads,
	"fetchWorker":               Reads,
	"deleteWorker":              Refused,
	"requestWorkerStatusChange": Refused,
	"setWorkerTags":             Refused,
	"fetchWorkerSleepSchedule":  Reads,
	"setWorkerSleepSchedule":    Refused,
	"fetchWorkerTags":           Reads,
	"createWorkerTag":           Refused,
	"fetchWorkerTag":            Reads,
	"updateWorkerTag":           Refused,
	"deleteWorkerTag":           Refused,

	"getJobTypes":                 Reads,
	"getJobType":                  Reads,
	"fetchJobs":                   Reads,
	"submitJob":                   Refused,
	"submitJobCheck":              Reads,
	"deleteJobMass":               Refused,
	"fetchJob":                    Reads,
	"deleteJob":                   Refused,
	"deleteJobWhatWouldItDo":      Reads,
	"fetchJobLastRenderedInfo":    Reads,
	"fetchGlobalLastRenderedInfo": Reads,
	"setJobStatus":                Refused,
	"setJobPriority":              Refused,
	"setJobTag":                   Refused,
	"fetchJobTasks":               Reads,
	"fetchJobBlocklist":           Reads,
	"removeJobBlocklist":          Refused,

	"fetchTask":        Reads,
	"fetchTaskLogTail": Reads,
	"fetchTaskLogInfo": Reads,
	"fetchTaskLogText": Reads,
	"setTaskStatus":    Refused,

	"fetchOperations":   Reads,
	"startOperation":    Maintains,
	"fetchOperation":    Reads,
	"fetchOperationLog": Reads,
	"cancelOperation":   Maintains,

	"shamanCheckoutRequirements": Refused, // what follows it would be
	"shamanCheckout":             Refused,
	"shamanFileStoreCheck":       Reads,
	"shamanFileStore":            Refused,
}

// UpkeepOf says what becomes of an operation while the farm is in maintenance; false for one that nobody has decided
// about, which is refused.
func UpkeepOf(operationID string) (Upkeep, bool) {
	if u, ok := upkeep[operationID]; ok {
		return u, true
	}
	return Refused, false
}
