import facematch

with facematch.Client(server) as client:
    verdict = client.match(folder_id, "portrait.jpg")
    print("the same person" if verdict.same_person else verdict.resolution)
