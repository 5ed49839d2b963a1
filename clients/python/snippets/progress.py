with client.run(folder_id, "portrait.jpg", include_progress=True) as updates:
    for update in updates:
        print(update.sequence, update.WhichOneof("event"))
    verdict = updates.verdict()
