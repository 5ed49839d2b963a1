try:
    verdict = client.match(folder_id, "portrait.jpg", timeout=60)
except facematch.OzFolderNotFoundError:
    print("no such folder")
except facematch.MatchFailedError as error:
    print(error.reason, "try again" if error.retryable else "give up")
except facematch.DeadlineError as error:
    print("the match goes on; ask later for", error.request_id)
except facematch.FaceMatchError as error:
    print(error.reason, error.code, error)
