request_id = facematch.new_request_id()
save(request_id)  # with your own record, before the call
verdict = client.match(folder_id, "portrait.jpg", request_id=request_id)

# After a crash of your program: the same call again, or, if the photo is gone,
match = client.wait(request_id=request_id)
