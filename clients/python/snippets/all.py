with client.watch_all(resume_token=load_token(), on_expired="earliest") as updates:
    for update in updates:
        handle(update)
        updates.done()
        save_token(updates.resume_token)
