async with facematch.AsyncClient(server) as client:
    verdict = await client.match(folder_id, "portrait.jpg")
