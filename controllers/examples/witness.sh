#!/bin/sh
# Lists every process that belongs to a session, one a line, with the session's id. For `streamspace conformance --witness`.
# Such a process has STREAMSPACE_SESSION_ID in its environment, on the platform `local` and with both examples here.
grep -aozsH 'STREAMSPACE_SESSION_ID=[0-9a-f-]*' /proc/[0-9]*/environ | tr '\0' '\n'
exit 0
